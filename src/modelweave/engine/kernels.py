"""The compiled kernels: the inner loops over chunks of tensors, in C, without the interpreter's lock.

`Kernels` is the contract that this module and torch_kernels.py keep. A chunk is a run of consecutive elements of one tensor, the
same run of every source, as stored bytes. All results are the same to the last bit for any chunk length that is a multiple of
BLOCK: elements are computed alone, and sums go block by block.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..checkpoints.tensors import Bytes

BLOCK = 1024
BINS = 2048
CODES = {"F64": 0, "F32": 1, "F16": 2, "BF16": 3, "F8_E4M3": 4, "F8_E5M2": 5}
KEEP_ALL, KEEP_WINDOW, KEEP_CHANCE, KEEP_BITS = range(4)
BASE_BIT, OUTPUT_BIT = 1 << 63, 1 << 62

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chunk:
    """Stored bytes of `count` elements from flat index `start` on; data[i] belongs to input i."""

    start: int
    count: int
    data: Sequence[Bytes]
    dtypes: Sequence[str]
    base: Bytes | None = None
    base_dtype: str = "F32"

    @property
    def wide(self) -> bool:
        """Whether the arithmetic is done in float64, as it is once a source is."""
        return "F64" in self.dtypes or (self.base is not None and self.base_dtype == "F64")


SELECTION = np.dtype(
    [
        ("kind", "i8"),
        ("lo", "u8"),
        ("hi", "u8"),
        ("lo_value", "u8"),
        ("hi_value", "u8"),
        ("lo_quota", "i8"),
        ("hi_quota", "i8"),
        ("key0", "u4"),
        ("key1", "u4"),
        ("below", "u4"),
        ("unused", "u4"),
        ("bits", "u8"),
        ("bits_from", "u8"),
        ("factor", "f8"),
        ("voice", "f8"),
        ("weight", "f8"),
        ("share", "f8"),
    ]
)
"""One record a member: which of its entries stay.

KEEP_WINDOW: bit patterns of magnitudes in [lo, hi); where a quota is left, the first lo_quota entries equal to lo_value stay too
and the first hi_quota equal to hi_value go. KEEP_CHANCE: a draw from (place, key0, key1) under `below` / 2^24. KEEP_BITS: bit
`place - bits_from` of the bytes at address `bits`. Then entries are multiplied by factor; voice weighs the vote, weight the mix and
share the divisor.
"""

QUERY = np.dtype([("input", "i8"), ("lo", "u8"), ("width", "u8"), ("shift", "i8")])
"""A histogram of the magnitudes of one input, or of the variance over all inputs when input is their number."""


class Histogram(NamedTuple):
    """Of each query: counts (below, above), and the patterns between, relative to lo: `held` of them in `collected`, or, where held is
    more than the room there, counts a bin with the least and most (plus one) pattern of each.

    With energy (inputs,) the first query is of the variance: squares at places above are summed, and values (room, inputs) holds what
    stands at the places that it collected.
    """

    outside: NDArray[np.uint64]
    counts: NDArray[np.uint32]
    least: NDArray[np.uint64]
    most: NDArray[np.uint64]
    collected: NDArray[Any]
    held: NDArray[np.int64]
    energy: Floats | None = None
    values: NDArray[Any] | None = None

    @classmethod
    def empty(cls, queries: int, collected: NDArray[Any], energy: Floats | None = None, values: NDArray[Any] | None = None) -> Histogram:
        """collected: (queries, room) of the patterns' type, to be overwritten."""
        return cls(
            np.zeros((queries, 2), np.uint64),
            np.zeros((queries, BINS), np.uint32),
            np.full((queries, BINS), 1 << 63, np.uint64),
            np.zeros((queries, BINS), np.uint64),
            collected,
            np.zeros(queries, np.int64),
            energy,
            values,
        )


@dataclass(frozen=True)
class Mixing:
    """How selected differences become one: see weights/part.py, of which this is the numeric form."""

    elect: bool = False
    divide: bool = False
    zero_sign: float = 1.0
    floor: float = -np.inf
    divisor: float = 1.0
    scale: float = 1.0
    add_base: bool = True


class Kernels(Protocol):
    """What both implementations offer. The integer returned is a bit set: inputs with NaN or infinity, BASE_BIT, OUTPUT_BIT."""

    def gram(self, chunk: Chunk, out: Floats, row: int = 0) -> int:
        """Add inner products to out (n, n); with `row`, write one matrix for each `row` elements to out (rows, n, n)."""

    def sum(
        self, chunk: Chunk, coefficients: Floats, out: Bytes, dtype: str, *, scale: float = 1.0, add_base: bool = True, row: int = 0
    ) -> int:
        """out = [base +] scale * sum_i coefficients[i] * (input_i [- base])."""

    def histogram(self, chunk: Chunk, queries: NDArray[Any], into: Histogram) -> int:
        """Add the chunk to the histogram of each query."""

    def selected_sums(self, chunk: Chunk, selections: NDArray[Any], shared: NDArray[Any] | None, out: Floats, *, squares: bool) -> int:
        """Add to out (n, 3): sums of magnitudes and of selected magnitudes, or the sum of selected squares."""

    def vote(self, chunk: Chunk, selections: NDArray[Any], shared: NDArray[Any] | None, mixing: Mixing, out: Bytes, dtype: str) -> int:
        """out = [base +] scale * mix of the selected differences."""

    def balance(self, chunk: Chunk, selections: NDArray[Any], out: Floats) -> int:
        """Add to out (1,) how many places elect plus less how many elect minus."""

    def rank_chance(
        self, chunk: Chunk, member: int, row: int, keys: tuple[int, int], low: float, high: float, bits: Bytes, bits_from: int, out: Floats
    ) -> int:
        """Draw which entries of one input stay, with a chance that grows with the rank in the row.

        Sets bits, adds the sums of all and of the kept magnitudes to out (2,).
        """


class _Inputs(ctypes.Structure):
    _fields_ = [
        ("base", ctypes.c_void_p),
        ("base_dtype", ctypes.c_int64),
        ("n", ctypes.c_int64),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("dtype", ctypes.POINTER(ctypes.c_int64)),
    ]


class _Election(ctypes.Structure):
    _fields_ = [
        ("elect", ctypes.c_int64),
        ("divide", ctypes.c_int64),
        ("add_base", ctypes.c_int64),
        ("zero_sign", ctypes.c_double),
        ("floor", ctypes.c_double),
        ("divisor", ctypes.c_double),
        ("scale", ctypes.c_double),
    ]


def _at(array: NDArray[Any] | None) -> ctypes.c_void_p | None:
    return None if array is None else ctypes.c_void_p(array.ctypes.data)


class CompiledKernels:
    """Calls into the shared library; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        library.mw_prepare()
        names = ("gram", "sum", "histogram", "selected_sums", "vote", "balance", "rank_chance")
        self._functions: dict[str, tuple[Any, Any]] = {}
        for name in names:
            narrow, wide = getattr(library, f"mw_{name}_f"), getattr(library, f"mw_{name}_d")
            narrow.restype = wide.restype = ctypes.c_uint64
            self._functions[name] = (narrow, wide)

    def _call(self, name: str, chunk: Chunk, *arguments: Any) -> int:
        n = len(chunk.data)
        inputs = _Inputs(
            _at(chunk.base),
            CODES[chunk.base_dtype],
            n,
            (ctypes.c_void_p * n)(*(d.ctypes.data for d in chunk.data)),
            (ctypes.c_int64 * n)(*(CODES[t] for t in chunk.dtypes)),
        )
        return int(self._functions[name][chunk.wide](ctypes.byref(inputs), *arguments))

    def gram(self, chunk: Chunk, out: Floats, row: int = 0) -> int:
        return self._call("gram", chunk, ctypes.c_long(chunk.count), ctypes.c_long(row), _at(out))

    def sum(
        self, chunk: Chunk, coefficients: Floats, out: Bytes, dtype: str, *, scale: float = 1.0, add_base: bool = True, row: int = 0
    ) -> int:
        return self._call(
            "sum",
            chunk,
            ctypes.c_long(chunk.count),
            ctypes.c_long(row or chunk.count),
            _at(coefficients),
            ctypes.c_double(scale),
            ctypes.c_int(add_base),
            _at(out),
            ctypes.c_int(CODES[dtype]),
        )

    def histogram(self, chunk: Chunk, queries: NDArray[Any], into: Histogram) -> int:
        return self._call(
            "histogram",
            chunk,
            ctypes.c_long(chunk.count),
            _at(queries),
            ctypes.c_int(len(queries)),
            ctypes.c_int(BINS),
            _at(into.outside),
            _at(into.counts),
            _at(into.least),
            _at(into.most),
            _at(into.collected),
            _at(into.held),
            ctypes.c_long(into.collected.shape[1]),
            _at(into.energy),
            _at(into.values),
        )

    def selected_sums(self, chunk: Chunk, selections: NDArray[Any], shared: NDArray[Any] | None, out: Floats, *, squares: bool) -> int:
        return self._call(
            "selected_sums",
            chunk,
            ctypes.c_long(chunk.count),
            ctypes.c_uint64(chunk.start),
            _at(selections),
            _at(shared),
            ctypes.c_int(squares),
            _at(out),
        )

    def vote(self, chunk: Chunk, selections: NDArray[Any], shared: NDArray[Any] | None, mixing: Mixing, out: Bytes, dtype: str) -> int:
        m = mixing
        election = _Election(m.elect, m.divide, m.add_base, m.zero_sign, m.floor, m.divisor, m.scale)
        return self._call(
            "vote",
            chunk,
            ctypes.c_long(chunk.count),
            ctypes.c_uint64(chunk.start),
            _at(selections),
            _at(shared),
            ctypes.byref(election),
            _at(out),
            ctypes.c_int(CODES[dtype]),
        )

    def balance(self, chunk: Chunk, selections: NDArray[Any], out: Floats) -> int:
        return self._call("balance", chunk, ctypes.c_long(chunk.count), ctypes.c_uint64(chunk.start), _at(selections), _at(out))

    def rank_chance(
        self, chunk: Chunk, member: int, row: int, keys: tuple[int, int], low: float, high: float, bits: Bytes, bits_from: int, out: Floats
    ) -> int:
        return self._call(
            "rank_chance",
            chunk,
            ctypes.c_int(member),
            ctypes.c_long(chunk.count),
            ctypes.c_long(row),
            ctypes.c_uint64(chunk.start),
            ctypes.c_uint32(keys[0]),
            ctypes.c_uint32(keys[1]),
            ctypes.c_double(low),
            ctypes.c_double(high),
            _at(bits),
            ctypes.c_uint64(bits_from),
            _at(out),
        )


def library_path() -> Path | None:
    """Where the compiled library lies, or None when it was not built."""
    found = sorted(Path(__file__).parent.glob("_kernels*.so")) + sorted(Path(__file__).parent.glob("_kernels*.pyd"))
    return found[0] if found else None
