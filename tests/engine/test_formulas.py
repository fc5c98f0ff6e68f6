"""Formulas: each operation against NumPy, both kernels against each other, ranks against sorting, sums and bits by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import modelweave
from modelweave.catalog import METHODS
from modelweave.engine.kernels import Chunk, CompiledKernels, Kernels, library_path
from modelweave.engine.torch_kernels import TorchKernels
from modelweave.weights.formula import clamp, exp, floor, maximum, minimum, rounded, sign, tanh, traced, where
from modelweave.weights.method import Method, Needs
from modelweave.weights.part import Context, Round, formula

Array = NDArray[np.float64]


@pytest.fixture(params=["compiled", "torch"])
def both(request: pytest.FixtureRequest) -> Kernels:
    if request.param == "torch":
        return TorchKernels()
    path = library_path()
    if path is None:
        pytest.skip("no compiled kernels")
    return CompiledKernels(path)


def computed(k: Kernels, part: Callable[..., Any], *inputs: Array, base: Array | None = None, **chosen: Any) -> Array:
    """The part's value at each entry, of inputs that have no base or of their differences from one."""
    steps = replace(traced(lambda deltas, base, row: [part(deltas, base, row)], len(inputs)), **chosen)
    out = np.empty(8 * inputs[0].size, np.uint8)
    data = [value.astype(np.float64).view(np.uint8) for value in inputs]
    chunk = Chunk(0, inputs[0].size, data, ["F64"] * len(inputs), None if base is None else base.view(np.uint8), "F64")
    assert k.formula(chunk, steps, out, "F64", add_base=False) == 0
    return out.view(np.float64)


A, B = np.random.default_rng(0).standard_normal((2, 1500)) * 3
A[:4], B[:4] = (0.0, 1.0, -2.0, 0.0), (0.0, 1.0, 2.0, -1.0)
OPERATIONS: dict[str, tuple[Callable[[Any, Any], Any], Array]] = {
    "add": (lambda a, b: a + b + 1, A + B + 1),
    "subtract": (lambda a, b: 2 - (a - b), 2 - (A - B)),
    "multiply": (lambda a, b: 3 * (a * b), 3 * (A * B)),
    "divide": (lambda a, b: 1 / (abs(a) / 7 + abs(b) + 1), 1 / (abs(A) / 7 + abs(B) + 1)),
    "greater": (lambda a, b: (a > b) + 2 * (a < b), (A > B) + 2.0 * (A < B)),
    "at least": (lambda a, b: (a >= b) + 2 * (a <= b), (A >= B) + 2.0 * (A <= B)),
    "extremes": (lambda a, b: maximum(a, b) - minimum(a, b), np.maximum(A, B) - np.minimum(A, B)),
    "clamp": (lambda a, b: clamp(a, -1.0, 0.5), A.clip(-1, 0.5)),
    "where": (lambda a, b: where(a > 0, b, a), np.where(A > 0, B, A)),
    "sign and floor": (lambda a, b: sign(a) + 4 * floor(b), np.sign(A) + 4 * np.floor(B)),
    "rounded": (lambda a, b: rounded(a), A.astype(np.float32).astype(np.float64)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation(both: Kernels, name: str) -> None:
    part, expected = OPERATIONS[name]
    assert np.array_equal(computed(both, lambda deltas, base, row: part(*deltas), A, B), expected)
    direct = part(torch.from_numpy(A), torch.from_numpy(B))
    assert np.array_equal(direct.double().numpy(), expected)


@pytest.mark.parametrize("reach", [1e-6, 0.03, 0.05, 1.0, 30.0, 700.0])
def test_exp_and_tanh_have_nearly_all_bits(both: Kernels, reach: float) -> None:
    x = np.random.default_rng(1).uniform(-reach, reach, 20_000)
    for part, reference in ((exp, np.exp), (tanh, np.tanh)):
        exact = reference(x.astype(np.longdouble))
        found = computed(both, lambda deltas, base, row, part=part: part(deltas[0]), x)
        assert (abs(found - exact) <= 6 * np.spacing(abs(exact).astype(np.float64))).all()


def test_exp_and_tanh_at_the_ends(both: Kernels) -> None:
    ends = np.array([-800.0, 800.0, 0.0, 30.0, -30.0])
    assert computed(both, lambda deltas, base, row: exp(minimum(deltas[0], 0.0)), ends)[[0, 2]].tolist() == [0, 1]
    assert computed(both, lambda deltas, base, row: tanh(deltas[0]), ends).tolist() == [-1, 1, 0, 1, -1]


def test_the_base_and_a_value_of_each_row(both: Kernels) -> None:
    base = np.arange(1500.0)
    found = computed(both, lambda deltas, base, row: deltas[0] + 10 * base + 100 * row, base + 1, base=base, rows=np.arange(500.0), row=3)
    assert np.array_equal(found, 1 + 10 * base + 100 * (np.arange(1500) // 3))


def test_many_values_share_few_registers(both: Kernels) -> None:
    steps = traced(lambda deltas, base, row: [sum(abs(deltas[0] - i) for i in range(40))], 1)
    assert steps.temporaries <= 4
    expected = np.sum([abs(A - i) for i in range(40)], axis=0)
    assert computed(both, lambda deltas, base, row: sum(abs(deltas[0] - i) for i in range(40)), A) == pytest.approx(expected)


def test_entries_that_are_left_out_are_the_base(both: Kernels) -> None:
    only, out = np.random.default_rng(3).random(1500) < 0.3, np.empty(8 * 1500, np.uint8)
    chunk = Chunk(0, 1500, [A.view(np.uint8)], ["F64"], B.view(np.uint8), "F64")
    steps = traced(lambda deltas, base, row: [deltas[0] * base], 1)
    both.formula(chunk, steps, out, "F64", only=np.packbits(only, bitorder="little"))
    assert np.array_equal(out.view(np.float64), np.where(only, B + (A - B) * B, B))


def test_what_is_asked_twice_is_computed_once() -> None:
    assert len(traced(lambda deltas, base, row: [abs(deltas[0]) + abs(deltas[0])], 1).steps) == 2


def test_sums_and_bits(both: Kernels) -> None:
    steps = traced(lambda deltas, base, row: [deltas[0] > deltas[1], deltas[0]], 2)
    sums, bits = np.zeros(1), [np.zeros(188, np.uint8)]
    chunk = Chunk(0, 1500, [A.view(np.uint8), B.view(np.uint8)], ["F64"] * 2)
    assert both.measure(chunk, steps, sums, bits) == 0
    assert sums == pytest.approx([A.sum()])
    assert np.array_equal(np.unpackbits(bits[0], count=1500, bitorder="little").astype(bool), A > B)


def test_a_branch_on_a_symbol_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot branch on values that differ from entry to entry"):
        traced(lambda deltas, base, row: [deltas[0] if deltas[0] > 0 else 0], 1)


RANKS = [[0, 250, -1], [499, 3, -2]]


def signed(deltas: Any, context: Context) -> tuple[list[Any], list[list[int]]]:
    """Values of both signs, and many that are equal."""
    return [deltas[0], floor(deltas[0] * 2)], RANKS


@formula(rounds=(Round("ranked", signed),))
def told_ranks(deltas: Any, context: Context) -> Any:
    """A method that writes down what was found."""
    told = context.seen[0].reshape(-1).tolist()
    return sum(value * 10.0 ** (-2 * i) for i, value in enumerate(told)) + 0 * deltas[0]


@pytest.mark.parametrize("count", [600, 1_100_000])
@pytest.mark.parametrize("compiled", [True, False])
def test_ranks_are_those_of_a_sort(monkeypatch: pytest.MonkeyPatch, count: int, compiled: bool) -> None:
    row = Method("told", "Told", "ranks", "this test", combine=told_ranks, needs=Needs("required"))
    monkeypatch.setitem(METHODS, "told", row)
    if not compiled:
        monkeypatch.setenv("MODELWEAVE_TORCH_KERNELS", "1")
    values = torch.randn(count, generator=torch.Generator().manual_seed(2)) ** 3
    values[::7] = 0
    values[1::7] *= 1e-40  # below the smallest normal number
    merged = modelweave.merge([{"w": values.double()}], base={"w": torch.zeros(count).double()}, method="told", threads=2)["w"]
    ordered = [values.sort().values.double(), (values.double() * 2).floor().sort().values]
    told = [float(own[rank]) for own, ranks in zip(ordered, RANKS, strict=True) for rank in ranks]
    assert merged[0].item() == pytest.approx(sum(value * 10.0 ** (-2 * i) for i, value in enumerate(told)), rel=1e-12)
    assert (merged == merged[0]).all()
