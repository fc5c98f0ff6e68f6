"""The compiled kernels: the inner loops over chunks of tensors, in C, without the interpreter's lock.

`Kernels` is the contract that this module and torch_kernels.py keep. A chunk is a run of consecutive elements of one tensor, the
same run of every source, as stored bytes. All results are the same to the last bit for any chunk length that is a multiple of
BLOCK: elements are computed alone, and sums go block by block.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..checkpoints.dtypes import Bytes
from ..checkpoints.tensors import InFile
from ..errors import ModelweaveError
from ..weights.formula import Formula

INTERFACE = 1
"""What the compiled library must answer; kernels.c has the same number."""
BLOCK = 1024
BINS = 512
WINDOW = 256 * BLOCK
"""Bytes of a file that are read or written at once, at most: larger ones cost fewer calls, and these still stay in the cores' caches."""
CODES = {"F64": 0, "F32": 1, "F16": 2, "BF16": 3, "F8_E4M3": 4, "F8_E5M2": 5}
KEEP_ALL, KEEP_WINDOW, KEEP_CHANCE, KEEP_BITS = range(4)
BASE_BIT, OUTPUT_BIT, READ_BIT = 1 << 63, 1 << 62, 1 << 61

Floats = NDArray[np.float64]
Room = Bytes | InFile


@dataclass(frozen=True)
class Chunk:
    """Stored bytes of `count` elements from flat index `start` on, data[i] of input i; in a stream they may be InFile.

    window: room for each input and the base, through which files are read.
    """

    start: int
    count: int
    data: Sequence[Any]
    dtypes: Sequence[str]
    base: Any = None
    base_dtype: str = "F32"
    window: Bytes | None = None

    @property
    def room(self) -> int:
        """Bytes of a file that are read or written at once: for a whole block at least, of the widest numbers."""
        return min(WINDOW, 8 * self.count) if self.window is None else len(self.window) // (len(self.data) + (self.base is not None))

    @property
    def wide(self) -> bool:
        """Whether the arithmetic is done in float64, as it is once a source is."""
        return "F64" in self.dtypes or (self.base is not None and self.base_dtype == "F64")


SELECTION = np.dtype(
    [
        ("kind", "i8"),
        ("lo", "u8"),
        ("hi", "u8"),
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

KEEP_WINDOW: bit patterns of magnitudes in [lo, hi); the first lo_quota entries equal to lo - 1 stay too and the first hi_quota equal
to hi - 1 go. KEEP_CHANCE: a draw from (place, key0, key1) under `below` / 2^24. KEEP_BITS: bit
`place - bits_from` of the bytes at address `bits`. Then entries are multiplied by factor; voice weighs the vote, weight the mix and
share the divisor.
"""

QUERY = np.dtype([("input", "i8"), ("lo", "u8"), ("width", "u8"), ("shift", "i8")])
"""A histogram of the magnitudes of one input; or, counting on from the number of inputs, of the variance over all of them and of the keys
of a formula's results: numbers of the order of the values, rounded to float32.
"""


class Histogram(NamedTuple):
    """Of each query: counts (below, above), and of the patterns between, relative to lo: how many in each bin, with the least and most
    (plus one) of each; `held` altogether, and where there is room for so many the patterns themselves in `collected`.

    With energy (inputs,) the first query is of the variance: squares at places above are summed, and values (room, inputs) holds what
    stands at the places that it collected. With `least_keys`, one for each result of the formula, bits of `reached` are set, lowest first
    and from element `start` on, where a result's key is at least that.
    """

    outside: NDArray[np.uint64]
    counts: NDArray[np.uint32]
    least: NDArray[np.uint64]
    most: NDArray[np.uint64]
    collected: NDArray[Any]
    held: NDArray[np.int64]
    energy: Floats | None = None
    values: NDArray[Any] | None = None
    least_keys: NDArray[np.uint32] | None = None
    reached: Bytes | None = None
    start: int = 0

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
    """What both implementations offer. The integer returned is a bit set: inputs with NaN or infinity, BASE_BIT, OUTPUT_BIT, READ_BIT.

    use_files: whether chunks and outputs may stand in files. READ_BIT tells that one of those could not be read; OSError is raised when
    the output could not be written.
    """

    use_files: bool

    def gram(self, chunk: Chunk, out: Floats, row: int = 0) -> int:
        """Add inner products to out (n, n); with `row`, write one matrix for each `row` elements to out (rows, n, n)."""

    def sum(
        self, chunk: Chunk, coefficients: Floats, out: Room, dtype: str, *, scale: float = 1.0, add_base: bool = True, row: int = 0
    ) -> int:
        """out = [base +] scale * sum_i coefficients[i] * (input_i [- base])."""

    def histogram(self, chunk: Chunk, queries: NDArray[Any], into: Histogram, formula: Formula | None = None) -> int:
        """Add the chunk to the histogram of each query."""

    def formula(
        self,
        chunk: Chunk,
        formula: Formula,
        out: Room,
        dtype: str,
        *,
        scale: float = 1.0,
        add_base: bool = True,
        only: Bytes | None = None,
    ) -> int:
        """out = [base +] scale * the formula's one result; `only`: bits of the entries, lowest first, outside which the result is 0."""

    def measure(self, chunk: Chunk, formula: Formula, sums: Floats, bits: Sequence[Bytes] = ()) -> int:
        """Set the bits of the first results, which are conditions, in `bits`, lowest first; add the sum of each other result to sums."""

    def selected_sums(self, chunk: Chunk, selections: NDArray[Any], shared: NDArray[Any] | None, out: Floats, *, squares: bool) -> int:
        """Add to out (n, 3): sums of magnitudes and of selected magnitudes, or the sum of selected squares."""

    def vote(self, chunk: Chunk, selections: NDArray[Any], shared: NDArray[Any] | None, mixing: Mixing, out: Room, dtype: str) -> int:
        """out = [base +] scale * mix of the selected differences."""

    def balance(self, chunk: Chunk, selections: NDArray[Any], out: Floats) -> int:
        """Add to out (1,) how many places elect plus less how many elect minus."""

    def rank_chance(self, chunk: Chunk, selections: NDArray[Any], row: int, chances: Floats, out: Floats) -> int:
        """Draw which entries stay of each input with KEEP_BITS, with a chance that grows with the rank in the row.

        chances: (n, 2), of the lowest and the highest rank. Sets the selections' bits, adds the sums of all and of the kept magnitudes
        to the first two columns of out (n, 3).
        """

    def mark_blocks(self, chunk: Chunk, selections: NDArray[Any], row: int, blocks: NDArray[np.int64], out: Floats) -> int:
        """Keep the largest entries of each block of a row that no earlier input keeps, for each input with KEEP_BITS.

        blocks: (n, 2), how many stay of how many neighbours. Bits and out as in rank_chance.
        """


class _Source(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("data", "dtype", "file", "offset", "room", "from", "upto")]


class _Inputs(ctypes.Structure):
    _fields_ = [*((name, ctypes.c_int64) for name in ("count", "n", "has_base", "failed")), ("source", ctypes.POINTER(_Source))]


class _Output(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in ("data", "dtype", "file", "offset", "room", "held", "error")]


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


class _Formula(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("wide", "n_steps", "n_constants", "n_temporaries", "n_results", "row")),
        *((name, ctypes.c_void_p) for name in ("steps", "constants", "results", "rows")),
    ]


def _formula(f: Formula | None) -> Any:
    """A pointer to what formulas.h reads; it lives as long as the arrays of `f`."""
    if f is None:
        return None
    sizes = (f.wide, len(f.steps), len(f.constants), f.temporaries, len(f.results), f.row)
    arrays = (f.steps, f.constants, f.results, f.rows)
    return ctypes.byref(_Formula(*sizes, *(None if array is None else array.ctypes.data for array in arrays)))


def _at(array: NDArray[Any] | None) -> ctypes.c_void_p | None:
    return None if array is None else ctypes.c_void_p(array.ctypes.data)


class CompiledKernels:
    """Calls into the shared library; safe to use from several threads."""

    use_files = hasattr(os, "preadv")

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        if getattr(library, "mw_interface", lambda: None)() != INTERFACE:
            raise ModelweaveError(
                f"{path.name}: was compiled for another version of modelweave; install it again, so that it is compiled anew"
            )
        library.mw_prepare()
        names = ("gram", "sum", "histogram", "selected_sums", "vote", "balance", "rank_chance", "mark_blocks", "formula", "measure")
        self._functions: dict[str, tuple[Any, Any]] = {}
        for name in names:
            narrow, wide = getattr(library, f"mw_{name}_f"), getattr(library, f"mw_{name}_d")
            narrow.restype = wide.restype = ctypes.c_uint64
            self._functions[name] = (narrow, wide)

    def _call(self, name: str, chunk: Chunk, *arguments: Any) -> int:
        data, dtypes = [*chunk.data], [*chunk.dtypes]
        if chunk.base is not None:
            data, dtypes = [*data, chunk.base], [*dtypes, chunk.base_dtype]
        room, first = chunk.room, 0 if chunk.window is None else chunk.window.ctypes.data
        sources = (_Source * len(data))()
        for i, (source, held, dtype) in enumerate(zip(sources, data, dtypes, strict=True)):
            source.dtype = CODES[dtype]
            if isinstance(held, InFile):
                source.data, source.file, source.offset, source.room = first + i * room, held.descriptor, held.offset, room
            else:
                source.data, source.file = held.ctypes.data, -1
        inputs = _Inputs(chunk.count, len(chunk.data), chunk.base is not None, 0, sources)
        return int(self._functions[name][chunk.wide](ctypes.byref(inputs), *arguments))

    def _write(self, name: str, chunk: Chunk, out: Room, dtype: str, *arguments: Any) -> int:
        """Call a function whose last argument is where its results go."""
        output = _Output(dtype=CODES[dtype], file=-1)
        if isinstance(out, InFile):
            window = np.empty(chunk.room, np.uint8)
            output.data, output.room, output.file, output.offset = window.ctypes.data, len(window), out.descriptor, out.offset
        else:
            output.data = out.ctypes.data
        flags = self._call(name, chunk, *arguments, ctypes.byref(output))
        if output.error:
            raise OSError(output.error, os.strerror(output.error))
        return flags

    def gram(self, chunk: Chunk, out: Floats, row: int = 0) -> int:
        return self._call("gram", chunk, ctypes.c_long(row), _at(out))

    def sum(
        self, chunk: Chunk, coefficients: Floats, out: Room, dtype: str, *, scale: float = 1.0, add_base: bool = True, row: int = 0
    ) -> int:
        return self._write(
            "sum",
            chunk,
            out,
            dtype,
            ctypes.c_long(row or chunk.count),
            _at(coefficients),
            ctypes.c_double(scale),
            ctypes.c_int(add_base),
        )

    def histogram(self, chunk: Chunk, queries: NDArray[Any], into: Histogram, formula: Formula | None = None) -> int:
        reached = None if into.reached is None else into.reached[(chunk.start - into.start) // 8 :]
        return self._call(
            "histogram",
            chunk,
            ctypes.c_uint64(chunk.start),
            _formula(formula),
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
            _at(into.least_keys),
            _at(reached),
        )

    def selected_sums(self, chunk: Chunk, selections: NDArray[Any], shared: NDArray[Any] | None, out: Floats, *, squares: bool) -> int:
        place = ctypes.c_uint64(chunk.start)
        return self._call("selected_sums", chunk, place, _at(selections), _at(shared), ctypes.c_int(squares), _at(out))

    def vote(self, chunk: Chunk, selections: NDArray[Any], shared: NDArray[Any] | None, mixing: Mixing, out: Room, dtype: str) -> int:
        m, place = mixing, ctypes.c_uint64(chunk.start)
        election = _Election(m.elect, m.divide, m.add_base, m.zero_sign, m.floor, m.divisor, m.scale)
        return self._write("vote", chunk, out, dtype, place, _at(selections), _at(shared), ctypes.byref(election))

    def balance(self, chunk: Chunk, selections: NDArray[Any], out: Floats) -> int:
        return self._call("balance", chunk, ctypes.c_uint64(chunk.start), _at(selections), _at(out))

    def formula(
        self,
        chunk: Chunk,
        formula: Formula,
        out: Room,
        dtype: str,
        *,
        scale: float = 1.0,
        add_base: bool = True,
        only: Bytes | None = None,
    ) -> int:
        how = (ctypes.c_double(scale), ctypes.c_int(add_base), _at(only))
        return self._write("formula", chunk, out, dtype, ctypes.c_uint64(chunk.start), _formula(formula), *how)

    def measure(self, chunk: Chunk, formula: Formula, sums: Floats, bits: Sequence[Bytes] = ()) -> int:
        marks = (ctypes.c_void_p * max(len(bits), 1))(*(array.ctypes.data for array in bits))
        return self._call("measure", chunk, ctypes.c_uint64(chunk.start), _formula(formula), _at(sums), ctypes.c_int(len(bits)), marks)

    def rank_chance(self, chunk: Chunk, selections: NDArray[Any], row: int, chances: Floats, out: Floats) -> int:
        return self._call("rank_chance", chunk, ctypes.c_long(row), ctypes.c_uint64(chunk.start), _at(selections), _at(chances), _at(out))

    def mark_blocks(self, chunk: Chunk, selections: NDArray[Any], row: int, blocks: NDArray[np.int64], out: Floats) -> int:
        return self._call("mark_blocks", chunk, ctypes.c_long(row), ctypes.c_uint64(chunk.start), _at(selections), _at(blocks), _at(out))


def library_path() -> Path | None:
    """Where the compiled library lies, or None when it was not built."""
    found = sorted(Path(__file__).parent.glob("_kernels*.so")) + sorted(Path(__file__).parent.glob("_kernels*.pyd"))
    return found[0] if found else None
