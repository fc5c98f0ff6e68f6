"""The compiled kernels: rounding against torch, selections against sorting, draws against chance."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import modelweave
from modelweave.checkpoints.open import open_checkpoint
from modelweave.checkpoints.tensors import InFile
from modelweave.engine import kernels
from modelweave.engine.kernels import CompiledKernels, Kernels, library_path
from modelweave.engine.torch_kernels import TorchKernels
from modelweave.errors import ModelweaveError

compiled = pytest.mark.skipif(library_path() is None, reason="the kernels were not compiled when the package was installed")


def library() -> CompiledKernels:
    path = library_path()
    assert path is not None
    return CompiledKernels(path)


@compiled
def test_a_library_of_another_version_is_refused_before_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "INTERFACE", kernels.INTERFACE + 1)
    with pytest.raises(ModelweaveError, match="another version of modelweave; install it again"):
        library()


@pytest.fixture(params=[pytest.param("compiled", marks=compiled), "torch"])
def both(request: pytest.FixtureRequest) -> Kernels:
    return library() if request.param == "compiled" else TorchKernels()


def converted(k: Kernels, data: torch.Tensor, source: str, target: str) -> np.ndarray:
    stored = data.contiguous().view(torch.uint8).numpy().reshape(-1)
    size = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}[target]
    out = np.empty(data.numel() * size, np.uint8)
    k.sum(kernels.Chunk(0, data.numel(), [stored], [source]), np.ones(1), out, target)
    return out


@pytest.mark.parametrize(("tag", "kind"), [("F16", torch.float16), ("BF16", torch.bfloat16)])
def test_every_half_is_read_exactly(both: Kernels, tag: str, kind: torch.dtype) -> None:
    patterns = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(kind)
    found = converted(both, patterns, tag, "F32").view(np.float32)
    assert np.array_equal(found, patterns.float().numpy(), equal_nan=True)


@pytest.mark.parametrize(("tag", "kind"), [("F8_E4M3", torch.float8_e4m3fn), ("F8_E5M2", torch.float8_e5m2)])
def test_every_small_float_is_read_exactly(both: Kernels, tag: str, kind: torch.dtype) -> None:
    patterns = torch.arange(256).to(torch.uint8).view(kind)
    found = converted(both, patterns, tag, "F32").view(np.float32)
    assert np.array_equal(found, patterns.float().numpy(), equal_nan=True)


@pytest.mark.parametrize(("tag", "kind"), [("F16", torch.float16), ("BF16", torch.bfloat16)])
def test_rounding_is_to_nearest_even(both: Kernels, tag: str, kind: torch.dtype) -> None:
    every = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(kind).float()
    every = every[every.isfinite()].sort().values
    middles = (every[1:].double() + every[:-1].double()) / 2  # ties, and their neighbours on both sides
    values = torch.cat([every, middles.float(), torch.nextafter(middles.float(), every[1:]), torch.nextafter(middles.float(), every[:-1])])
    values = torch.cat(
        [values, torch.randn(50_000, generator=torch.Generator().manual_seed(0)) * 10.0 ** torch.arange(-25, 25).repeat(1000)]
    )
    found = converted(both, values, "F32", tag).view(np.uint16)
    assert np.array_equal(found, values.to(kind).view(torch.int16).numpy().view(np.uint16))


def test_doubles_keep_their_precision() -> None:
    a = torch.tensor([1 + 2**-50, 1e-300], dtype=torch.float64)
    merged = modelweave.merge([{"w": a}, {"w": a * 3}])["w"]
    assert merged.tolist() == (a * 2).tolist()


@pytest.mark.filterwarnings("ignore:the inputs have different types")
def test_one_wide_input_widens_the_arithmetic() -> None:
    narrow, wide = torch.ones(3), torch.full((3,), 1 + 2**-40, dtype=torch.float64)
    merged = modelweave.merge([{"w": wide}, {"w": narrow}], method="linear")["w"]
    assert merged.dtype == torch.float64
    assert merged.tolist() == [1 + 2**-41] * 3


def test_a_result_that_does_not_fit_is_refused() -> None:
    big = {"w": torch.full((3,), 60_000.0, dtype=torch.float16)}
    with pytest.raises(modelweave.ModelweaveError, match="w: a merged value does not fit float16; set out_dtype"):
        modelweave.merge([big, big], method="linear", normalize=False)


def test_allowed_infinities_pass() -> None:
    bad = {"w": torch.tensor([1.0, float("inf")])}
    merged = modelweave.merge([bad, bad], allow_nonfinite=True)["w"]
    assert merged[0] == 1 and merged[1] == float("inf")


def test_small_types_are_merged_and_stored_as_torch_would() -> None:
    a = {"w": torch.tensor([1.0, 2.0, -0.5]).to(torch.float8_e4m3fn)}
    b = {"w": torch.tensor([2.0, 4.0, 0.25]).to(torch.float8_e4m3fn)}
    merged = modelweave.merge([a, b])["w"]
    assert merged.dtype == torch.float8_e4m3fn
    assert merged.float().tolist() == torch.tensor([1.5, 3.0, -0.125]).to(torch.float8_e4m3fn).float().tolist()


def test_draws_are_uniform_and_uncorrelated() -> None:
    torch_kernels = TorchKernels()
    draws = torch_kernels._draws(0, 1 << 18, 123, 456).double() / 2**24
    counts = torch.histc(draws, 64, 0, 1)
    assert ((counts - 4096) ** 2 / 4096).sum() < 120  # chi square with 63 degrees of freedom, p about 1e-5
    assert abs(torch.corrcoef(torch.stack([draws[:-1], draws[1:]]))[0, 1]) < 0.01
    other = torch_kernels._draws(0, 1 << 18, 124, 456).double() / 2**24
    assert abs(torch.corrcoef(torch.stack([draws, other]))[0, 1]) < 0.01


def test_draws_go_on_past_four_thousand_million() -> None:
    k = TorchKernels()
    start = 2**32 - 5
    across = k._draws(start, 10, 1, 2)
    assert torch.equal(across[5:], k._draws(2**32, 5, 1, 2))
    assert not torch.equal(across[5:], k._draws(0, 5, 1, 2))


@compiled
def test_rank_chances_agree_between_kernels() -> None:
    data = torch.randn(40, 333, generator=torch.Generator().manual_seed(1))
    data[3] = 0
    data[4] = data[4].sign()
    chunk = kernels.Chunk(333 * 7, data.numel(), [data.reshape(-1).view(torch.uint8).numpy()], ["F32"])
    found = []
    for k in (library(), TorchKernels()):
        bits, out = np.zeros((data.numel() + 7) // 8, np.uint8), np.zeros((1, 3))
        chosen = np.zeros(1, kernels.SELECTION)
        chosen["kind"], chosen["key0"], chosen["key1"] = kernels.KEEP_BITS, 11, 22
        chosen["bits"], chosen["bits_from"] = bits.ctypes.data, 333 * 7
        k.rank_chance(chunk, chosen, 333, np.array([[0.2, 0.8]]), out)
        found.append((bits, out))
    assert np.array_equal(found[0][0], found[1][0])
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-7)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a file that is always full")
@compiled
def test_what_the_system_says_of_a_write_is_raised() -> None:
    data = np.zeros(4 * 300_000, np.uint8)
    with open("/dev/full", "wb") as full, pytest.raises(OSError, match="No space left"):
        library().sum(kernels.Chunk(0, 300_000, [data], ["F32"]), np.ones(1), InFile(full.fileno(), 0), "F32")


@pytest.mark.parametrize("method", ["linear", "ties", "dare_ties", "sce", "della", "model_stock", "slerp"])
def test_a_file_that_ends_early_is_named(method: str, tmp_path: Path) -> None:
    paths = []
    for name in ("base", "a", "b"):
        paths.append(tmp_path / f"{name}.safetensors")
        save_file({"w": torch.randn(400, 500, generator=torch.Generator().manual_seed(len(paths)))}, paths[-1])
    opened = [open_checkpoint(path) for path in paths]
    os.truncate(paths[2], 500_000)
    chosen, options = (opened[2:], {"t": 0.5}) if method == "slerp" else (opened[1:], {})
    with pytest.raises(modelweave.ModelweaveError, match=r"b\.safetensors.*truncated"):
        modelweave.merge(chosen, method=method, base=None if method == "linear" else opened[0], **options)
