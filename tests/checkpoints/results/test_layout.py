"""Headers and offsets are those of the safetensors library."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import deserialize
from safetensors.torch import save_file

from modelweave.checkpoints.results.folder import FolderSink
from modelweave.checkpoints.results.layout import index_of, shards_of, size_of
from modelweave.errors import OutputError

ODD_NAMES = ["größe.weight", "層.0", 'quote"', "back\\slash", "line\nbreak\ttab\x01", "smile😀", " ", "a.b/c"]
DTYPES = {
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.int64: "I64",
    torch.bool: "BOOL",
    torch.uint8: "U8",
}


def library_file(path: Path, metadata: dict[str, str]) -> dict[str, bytes]:
    """Tensors of every kind, written by the library; the bytes of each."""
    random = np.random.default_rng(3)
    shapes: list[tuple[int, ...]] = [(3, 5), (), (0, 4), (7,), (1, 1, 1), (2,)]
    data, given = {}, {}
    for i, name in enumerate([*ODD_NAMES, *(f"t{i}" for i in range(10))]):
        dtype, shape = list(DTYPES)[i % 6], shapes[i // 2 % 6]
        raw = random.integers(0, 2, int(np.prod(shape)) * dtype.itemsize, np.uint8)
        data[name] = raw.tobytes()
        given[name] = torch.from_numpy(raw).view(dtype).reshape(shape)
    save_file(given, path, metadata)
    return data


@pytest.mark.parametrize("metadata", [{"format": "pt"}, {"format": "np"}])
def test_whole_files_are_byte_for_byte_the_librarys(tmp_path: Path, metadata: dict[str, str]) -> None:
    data = library_file(tmp_path / "peer.safetensors", metadata)
    whole = (tmp_path / "peer.safetensors").read_bytes()
    header = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
    specs = [(n, tuple(v["shape"]), v["dtype"]) for n, v in header.items() if n != "__metadata__"]  # in the library's order
    assert {dtype for _, _, dtype in specs} == set(DTYPES.values())
    with FolderSink(tmp_path / "out", specs, fingerprint="f", metadata=metadata) as sink:
        for name, content in data.items():
            sink.write(name, 0, np.frombuffer(content, np.uint8))
            sink.finish(name)
        sink.commit()
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == whole


def test_any_order_reads_back_in_the_library(tmp_path: Path) -> None:
    specs = [("byte", (3,), "U8"), ("wide", (2,), "F64"), ("half", (5,), "BF16"), ("none", (0,), "F32"), ("one", (), "I16")]
    content = {name: bytes(range(1, 1 + size_of((name, shape, dtype)))) for name, shape, dtype in specs}
    with FolderSink(tmp_path / "out", specs, fingerprint="f") as sink:
        for name in content:
            sink.write(name, 0, np.frombuffer(content[name], np.uint8))
            sink.finish(name)
        sink.commit()
    found = dict(deserialize((tmp_path / "out" / "model.safetensors").read_bytes()))
    assert {n: (tuple(v["shape"]), v["dtype"], bytes(v["data"])) for n, v in found.items()} == {
        name: (shape, dtype, content[name]) for name, shape, dtype in specs
    }


@pytest.mark.parametrize(
    ("limit", "groups"),
    [
        (15, ["a", "b", "c", "d"]),  # each of a, b, c has 16 bytes
        (16, ["a", "b", "c", "d"]),
        (31, ["a", "b", "c", "d"]),
        (32, ["ab", "c", "d"]),  # exactly full; d alone is larger
        (47, ["ab", "c", "d"]),
        (48, ["abc", "d"]),
        (148, ["abcd"]),
    ],
)
def test_a_shard_is_filled_to_the_last_byte(limit: int, groups: list[str]) -> None:
    specs = [("a", (4,), "F32"), ("b", (8,), "BF16"), ("c", (2,), "I64"), ("d", (100,), "U8")]
    shards = shards_of(specs, limit)
    assert ["".join(s.offsets) for s in shards] == groups
    for shard in shards:
        assert len(shard.header) % 8 == 0 and min(shard.offsets.values()) == len(shard.header)


def test_empty_tensors_never_open_a_shard() -> None:
    shards = shards_of([("n", (0,), "F32"), ("a", (4,), "F32"), ("m", (0, 9), "F32"), ("b", (4,), "F32")], 16)
    assert [list(s.offsets) for s in shards] == [["n", "a", "m"], ["b"]]


def test_names_count_with_five_digits() -> None:
    shards = shards_of([(str(i), (1,), "U8") for i in range(12)], 1, "diffusion_pytorch_model")
    assert shards[0].name == "diffusion_pytorch_model-00001-of-00012.safetensors"
    assert shards[11].name == "diffusion_pytorch_model-00012-of-00012.safetensors"
    index = json.loads(index_of(shards))
    assert index["metadata"] == {"total_size": 12} and index["weight_map"]["11"] == shards[11].name


@pytest.mark.parametrize(("names", "words"), [(["a", "a"], "comes twice"), (["__metadata__"], "reserved")])
def test_names_that_a_header_cannot_hold(names: list[str], words: str) -> None:
    with pytest.raises(OutputError, match=words):
        shards_of([(name, (1,), "U8") for name in names], 10)


def test_no_tensors_make_a_file_all_the_same(tmp_path: Path) -> None:
    with FolderSink(tmp_path / "out", [], fingerprint="f") as sink:
        sink.commit()
    assert list(deserialize((tmp_path / "out" / "model.safetensors").read_bytes())) == []
