"""RowGather against a slow reading of its definition."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from modelweave.checkpoints.row_gather import AVERAGE, MEAN, ZERO, RowGather
from modelweave.checkpoints.tensors import Bytes, TensorRef
from modelweave.errors import CompatibilityError


class Counted(TensorRef):
    """A tensor in memory that counts how often it is read."""

    def __init__(self, values: NDArray, dtype: str, shape: tuple[int, ...] | None = None) -> None:
        super().__init__("t", shape or values.shape, dtype)
        self.data = np.ascontiguousarray(values).view(np.uint8).reshape(-1)
        self.reads = 0

    def read_into(self, start: int, out: Bytes) -> None:
        size = self.nbytes // self.count
        assert 0 <= start * size <= start * size + out.nbytes <= self.data.nbytes
        out[:] = self.data[start * size : start * size + out.nbytes]
        self.reads += 1


def f32(*rows: float, width: int = 3) -> Counted:
    return Counted(np.float32(rows)[:, None] + np.arange(width, dtype=np.float32) / 8, "F32")


def bf16(values: NDArray) -> NDArray[np.uint16]:
    """bfloat16 bits of values that need no rounding."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    assert not (bits & 0xFFFF).any()
    return (bits >> 16).astype(np.uint16)


def gather(sources, which, rows, owners=None) -> RowGather:
    table = None if owners is None else np.array(owners, np.int64)
    return RowGather("t", sources, np.array(which, np.int64), np.array(rows, np.int64), owners=table)


def test_rows_means_zeros_and_the_average_by_hand():
    a, b = f32(1, 2, 3, width=1), f32(10, 20, 30, width=1)
    owners = [[0, 1, -1, 2, -1, -1], [-1, -1, -1, 0, -1, -1]]
    result = gather([a, b], [0, 1, ZERO, MEAN, 0, AVERAGE], [1, 2, 0, 0, 0, 0], owners)
    # 2, 30, 0, (3 + 10) / 2, 1, and the mean of those five
    assert result.read().view(np.float32).tolist() == pytest.approx([2, 30, 0, 6.5, 1, 39.5 / 5])
    assert result.shape == (6, 1)


def test_every_chunk_equals_the_whole():
    a, b = f32(1, 2, 3, 4), f32(10, 20, 30)
    owners = [[0, 1, 2, -1, 3, 0, 0, 0], [0, 1, 2, -1, 2, 0, 0, 0]]
    result = gather([a, b], [0, 0, 1, ZERO, MEAN, 0, AVERAGE, AVERAGE], [1, 2, 0, 0, 0, 0, 0, 0], owners)
    whole = result.read().view(np.float32)
    assert whole[12:15].tolist() == [17.0, 17.125, 17.25]
    for start in range(result.count + 1):
        for stop in range(start, result.count + 1):
            assert result.read(start, stop).view(np.float32).tolist() == whole[start:stop].tolist()


def test_consecutive_rows_are_one_read():
    a = f32(*range(8))
    identity = gather([a], [0] * 8, range(8))
    assert identity.read().tobytes() == a.data.tobytes()
    assert a.reads == 1
    a.reads = 0
    shifted = gather([a], [0] * 7, [0, 1, 2, 5, 6, 7, 3])
    assert shifted.read().view(np.float32)[::3].tolist() == [0, 1, 2, 5, 6, 7, 3]
    assert a.reads == 3


def test_means_agree_with_a_slow_float64_loop_and_round_to_even_once():
    random = np.random.default_rng(0)
    values = [bf16(random.integers(-128, 128, (5, 7)) / 64.0) for _ in range(3)]
    sources = [Counted(v, "BF16") for v in values]
    owners = random.integers(0, 5, (3, 20))
    owners[random.random((3, 20)) < 0.3] = -1
    owners[0, (owners < 0).all(axis=0)] = 0
    got = gather(sources, [MEAN] * 20, [0] * 20, owners).read().view(np.uint16).reshape(20, 7)
    for r in range(20):
        for c in range(7):
            bits = [int(values[k][owners[k, r], c]) for k in range(3) if owners[k, r] >= 0]
            numbers = [float(np.uint32(b << 16).view(np.float32)) for b in bits]
            mean = np.float32(sum(numbers) / len(numbers)).view(np.uint32)
            low, rest = int(mean) >> 16, int(mean) & 0xFFFF
            expected = low + (rest > 0x8000 or (rest == 0x8000 and low % 2 == 1))
            assert got[r, c] == expected


def test_float16_mean_and_average():
    a, b = Counted(np.float16([[1], [3]]), "F16"), Counted(np.float16([[2.5]]), "F16")
    result = gather([a, b], [0, MEAN, AVERAGE], [1, 0, 0], [[-1, 0, -1], [-1, 0, -1]])
    assert result.dtype == "F16"
    assert result.read().view(np.float16).tolist() == [3, 1.75, 2.375]


def test_mean_that_overflows_float16_is_infinite_without_a_warning():
    a = Counted(np.float32([[1e6]]), "F32")
    wide = gather([a, Counted(np.float16([[1]]), "F16")], [0, 1], [0, 0])
    assert wide.dtype == "F32"
    assert wide.read().view(np.float32).tolist() == [1e6, 1]


def test_nan_stays_nan_in_a_bfloat16_mean():
    a = Counted(np.array([[0x7FFF]], np.uint16), "BF16")
    got = gather([a, a], [MEAN], [0], [[0], [0]]).read().view(np.uint16)
    assert np.isnan((got.astype(np.uint32) << 16).view(np.float32)).all()


def test_types_meet_in_the_wider_one_only_where_both_are_read():
    a, b = Counted(bf16(np.float32([[1], [2]])), "BF16"), Counted(np.float32([[0.1]]), "F32")
    assert gather([a, b], [0, 0], [1, 0]).dtype == "BF16"
    mixed = gather([a, b], [0, 1], [1, 0])
    assert mixed.dtype == "F32"
    assert mixed.read().view(np.float32).tolist() == [2, np.float32(0.1)]


def test_rows_of_types_without_arithmetic_move_but_have_no_mean():
    a = Counted(np.arange(4, dtype=np.uint8).reshape(2, 2), "F8_E4M3")
    assert gather([a], [0, ZERO, 0], [1, 0, 0]).read().tolist() == [2, 3, 0, 0, 0, 1]
    with pytest.raises(CompatibilityError, match="cannot be averaged"):
        gather([a, a], [MEAN], [0], [[0], [1]])


def test_rows_of_different_widths_are_refused():
    with pytest.raises(CompatibilityError, match="equal shapes"):
        gather([f32(1, width=2), f32(1, width=3)], [0, 1], [0, 0])


def test_biases_are_rows_of_one_element():
    a = Counted(np.float32([1, 2, 3]), "F32")
    result = gather([a], [0, ZERO, 0, AVERAGE], [2, 0, 0, 0])
    assert result.shape == (4,)
    assert result.read(1, 4).view(np.float32).tolist() == pytest.approx([0, 1, 4 / 3])


def test_threads_read_the_same_bytes():
    a = f32(*range(50))
    result = gather([a], [0] * 40 + [AVERAGE] * 10, list(range(49, 9, -1)) + [0] * 10)
    whole = gather([a], [0] * 40 + [AVERAGE] * 10, list(range(49, 9, -1)) + [0] * 10).read()
    out = np.zeros_like(whole)

    def work(first: int) -> None:
        for start in range(first, result.count, 32):
            result.read_into(start, out[start * 4 : min(start + 8, result.count) * 4])

    threads = [threading.Thread(target=work, args=(8 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert out.tobytes() == whole.tobytes()
