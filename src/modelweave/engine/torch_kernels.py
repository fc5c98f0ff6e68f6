"""The kernels in torch: for machines without the compiled library, and as the reference of the tests.

Element by element the same arithmetic in the same order as kernels.c.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..checkpoints.dtypes import DTYPES, Bytes
from ..weights.formula import OPERANDS, OPERATIONS, Formula
from .kernels import (
    BASE_BIT,
    BINS,
    BLOCK,
    KEEP_BITS,
    KEEP_CHANCE,
    KEEP_WINDOW,
    OUTPUT_BIT,
    Chunk,
    Floats,
    Histogram,
    Mixing,
)

_U32 = 0xFFFFFFFF
_LARGEST = 2**63 - 1
_BUCKETS = 1024


class TorchKernels:
    """See kernels.Kernels."""

    use_files = False

    def gram(self, chunk: Chunk, out: Floats, row: int = 0) -> int:
        _, deltas, flags = self._load(chunk)
        n = len(deltas)
        if row:
            lines = deltas.reshape(n, -1, row).double()
            out[...] = torch.einsum("irk,jrk->rij", lines, lines).numpy()
            return flags
        for at in range(0, chunk.count, BLOCK):
            block = deltas[:, at : at + BLOCK].double()
            out += (block @ block.T).numpy()
        return flags

    def sum(
        self, chunk: Chunk, coefficients: Floats, out: Any, dtype: str, *, scale: float = 1.0, add_base: bool = True, row: int = 0
    ) -> int:
        base, deltas, flags = self._load(chunk)
        factors = torch.as_tensor(np.asarray(coefficients, np.float64)).to(deltas.dtype)
        factors = factors.reshape(-1, len(deltas)).repeat_interleave(row, 0).T if row else factors.reshape(-1, 1)
        total = factors[0] * deltas[0]
        for i in range(1, len(deltas)):
            total = total + factors[i] * deltas[i]
        return flags | self._finish(total, base if add_base else None, scale, out, dtype)

    def histogram(self, chunk: Chunk, queries: NDArray[Any], into: Histogram, formula: Formula | None = None) -> int:
        base, deltas, flags = self._load(chunk)
        results = [] if formula is None else _results(formula, deltas, base, chunk.start)
        if into.least_keys is not None and into.reached is not None:
            found = torch.stack([_keys(result) >= int(least) for result, least in zip(results, into.least_keys, strict=True)]).any(0)
            bits, at = np.packbits(found.numpy(), bitorder="little"), (chunk.start - into.start) // 8
            into.reached[at : at + len(bits)] = bits
        for q, query in enumerate(queries):
            lo, width, shift, which = (int(query[name]) for name in ("lo", "width", "shift", "input"))
            if which > len(deltas):
                patterns = _keys(results[which - len(deltas) - 1])
            else:
                patterns = _patterns(_variance(deltas) if which == len(deltas) else deltas[which])
            place = patterns - lo
            inside = place[(place >= 0) & (place < width)]
            below = int((place < 0).sum())
            into.outside[q] += np.array([below, len(place) - below - len(inside)], np.uint64)
            room, held = into.collected.shape[1], int(into.held[q])
            if held + len(inside) <= room:
                if into.energy is not None and into.values is not None and q == 0:
                    squares = deltas.double() ** 2 * (place >= width)
                    np.add(into.energy, squares.sum(1).numpy(), out=into.energy)
                    within = (place >= 0) & (place < width)
                    into.values[held : held + len(inside)] = deltas[:, within].T.numpy()
                into.collected[q, held : held + len(inside)] = inside.numpy()
            into.held[q] += len(inside)
            bins = inside >> shift
            into.counts[q] += torch.bincount(bins, minlength=BINS).numpy().astype(np.uint32)
            least = torch.full((BINS,), 2**63 - 1, dtype=torch.int64).scatter_reduce(0, bins, inside, "amin")
            most = torch.zeros(BINS, dtype=torch.int64).scatter_reduce(0, bins, inside + 1, "amax")
            np.minimum(into.least[q], least.numpy().astype(np.uint64), out=into.least[q])
            np.maximum(into.most[q], most.numpy().astype(np.uint64), out=into.most[q])
        return flags

    def formula(
        self,
        chunk: Chunk,
        formula: Formula,
        out: Any,
        dtype: str,
        *,
        scale: float = 1.0,
        add_base: bool = True,
        only: Bytes | None = None,
    ) -> int:
        base, deltas, flags = self._load(chunk)
        direction = _results(formula, deltas, base, chunk.start)[0].to(deltas.dtype)
        if only is not None:
            direction = torch.where(torch.from_numpy(np.unpackbits(only, count=chunk.count, bitorder="little")) != 0, direction, 0.0)
        return flags | self._finish(direction, base if add_base else None, scale, out, dtype)

    def measure(self, chunk: Chunk, formula: Formula, sums: Floats, bits: Sequence[Bytes] = ()) -> int:
        base, deltas, flags = self._load(chunk)
        results = torch.stack(_results(formula, deltas, base, chunk.start)).double()
        for at in range(0, chunk.count, BLOCK):
            sums += results[len(bits) :, at : at + BLOCK].sum(1).numpy()
        for held, result in zip(bits, results, strict=False):
            found = np.packbits((result != 0).numpy(), bitorder="little")
            held[: len(found)] = found
        return flags

    def selected_sums(self, chunk: Chunk, selections: NDArray[Any], shared: NDArray[Any] | None, out: Floats, *, squares: bool) -> int:
        _, deltas, flags = self._load(chunk)
        chosen = self._select_all(deltas, selections, shared, chunk.start)
        for at in range(0, chunk.count, BLOCK):
            block, kept = deltas[:, at : at + BLOCK].double(), chosen[:, at : at + BLOCK].double()
            norms = torch.stack([block.abs().sum(1), kept.abs().sum(1), block.new_zeros(len(block))], 1)
            energy = torch.nn.functional.pad((kept * kept).sum(1, keepdim=True), (2, 0))
            out += (energy if squares else norms).numpy()
        return flags

    def vote(self, chunk: Chunk, selections: NDArray[Any], shared: NDArray[Any] | None, mixing: Mixing, out: Any, dtype: str) -> int:
        base, deltas, flags = self._load(chunk)
        chosen = self._select_all(deltas, selections, shared, chunk.start)
        chosen = chosen * deltas.new_tensor(selections["factor"]).reshape(-1, 1)
        weights, shares = deltas.new_tensor(selections["weight"]), deltas.new_tensor(selections["share"])
        voices = deltas.new_tensor(selections["voice"]) if mixing.elect else weights
        votes = voices[0] * chosen[0]
        for i in range(1, len(chosen)):
            votes = votes + voices[i] * chosen[i]
        if not mixing.elect:
            mix = votes / deltas.new_tensor(mixing.divisor) if mixing.divide else votes
            return flags | self._finish(mix, base if mixing.add_base else None, mixing.scale, out, dtype)
        elected = torch.where(votes > 0, 1.0, torch.where(votes < 0, -1.0, mixing.zero_sign)).to(deltas.dtype)
        mix, share = torch.zeros_like(votes), torch.zeros_like(votes)
        for i, values in enumerate(chosen):
            agrees = (voices[i] * values * elected > 0).to(deltas.dtype)
            mix = mix + agrees * (weights[i] * values)
            share = share + agrees * shares[i]
        if mixing.divide:
            mix = mix / torch.where(share == 0, 1.0, share.clamp(min=mixing.floor)).to(deltas.dtype)
        return flags | self._finish(mix, base if mixing.add_base else None, mixing.scale, out, dtype)

    def balance(self, chunk: Chunk, selections: NDArray[Any], out: Floats) -> int:
        _, deltas, flags = self._load(chunk)
        chosen = self._select_all(deltas, selections, None, chunk.start) * deltas.new_tensor(selections["factor"]).reshape(-1, 1)
        votes = torch.zeros_like(chosen[0])
        for values, voice in zip(chosen, deltas.new_tensor(selections["voice"]), strict=True):
            votes = votes + voice * values
        out += float(votes.sign().double().sum())
        return flags

    def rank_chance(self, chunk: Chunk, selections: NDArray[Any], row: int, chances: Floats, out: Floats) -> int:
        _, deltas, flags = self._load(chunk)
        for i in np.flatnonzero(selections["kind"] == KEEP_BITS):
            self._draw_by_rank(deltas[i].reshape(-1, row), chunk, selections[i], (chances[i, 0], chances[i, 1]), out[i])
        return flags

    def _draw_by_rank(self, lines: Tensor, chunk: Chunk, s: Any, chance: tuple[float, float], out: Floats) -> None:
        row, (low, high) = lines.shape[1], chance
        rank_key = lines.to(torch.float32).to(torch.bfloat16).abs().view(torch.int16).to(torch.int64)
        rank_key = (rank_key - (rank_key.amax(1, keepdim=True) - (_BUCKETS - 1)).clamp(min=0)).clamp(min=0)
        order = rank_key.sort(1).values
        ends = torch.searchsorted(order, rank_key, right=False) + torch.searchsorted(order, rank_key, right=True) - 1
        slope = (high - low) / (row - 1) if row > 1 else 0.0
        chances = (low if row > 1 else 0.5 * (low + high)) + slope * (0.5 * ends.double())
        below = (chances * 2**24 + 0.5).long().reshape(-1)
        keep = self._draws(chunk.start, chunk.count, int(s["key0"]), int(s["key1"])) < below
        _set_bits(chunk, s, keep)
        _add_norms(lines.reshape(-1), keep, out)

    def mark_blocks(self, chunk: Chunk, selections: NDArray[Any], row: int, blocks: NDArray[np.int64], out: Floats) -> int:
        _, deltas, flags = self._load(chunk)
        free = torch.ones(chunk.count // row, row, dtype=torch.bool)
        for i in np.flatnonzero(selections["kind"] == KEEP_BITS):
            keep = _largest_of_blocks(deltas[i].reshape(-1, row), free, *blocks[i].tolist())
            free &= ~keep
            _set_bits(chunk, selections[i], keep.reshape(-1))
            _add_norms(deltas[i], keep.reshape(-1), out[i])
        return flags

    def _values(self, data: Bytes, dtype: str, wide: bool) -> Tensor:
        stored = torch.from_numpy(data).view(getattr(torch, DTYPES[dtype].torch))
        return stored.to(torch.float64 if wide else torch.float32)

    def _load(self, chunk: Chunk) -> tuple[Tensor | None, Tensor, int]:
        flags = 0
        deltas = torch.stack([self._values(d, t, chunk.wide) for d, t in zip(chunk.data, chunk.dtypes, strict=True)])
        for i, finite in enumerate(deltas.isfinite().all(1).tolist()):
            flags |= 0 if finite else 1 << i
        if chunk.base is None:
            return None, deltas, flags
        base = self._values(chunk.base, chunk.base_dtype, chunk.wide)
        return base, deltas - base, flags | (0 if bool(base.isfinite().all()) else BASE_BIT)

    def _finish(self, total: Tensor, base: Tensor | None, scale: float, out: Any, dtype: str) -> int:
        if scale != 1:
            total = total * total.new_tensor(scale)
        if base is not None:
            total = total + base
        stored = total.to(getattr(torch, DTYPES[dtype].torch))
        out[:] = stored.contiguous().view(torch.uint8).numpy()
        return 0 if bool(stored.isfinite().all()) else OUTPUT_BIT

    def _select_all(self, deltas: Tensor, selections: NDArray[Any], shared: NDArray[Any] | None, start: int) -> Tensor:
        if shared is not None:
            deltas = deltas * (self._select(_variance(deltas), shared[0], start) != 0)
        return torch.stack([self._select(row, s, start) for row, s in zip(deltas, selections, strict=True)])

    def _select(self, values: Tensor, s: Any, start: int) -> Tensor:
        kind = int(s["kind"])
        if kind == KEEP_WINDOW:
            patterns = _patterns(values)
            keep = (patterns >= min(int(s["lo"]), _LARGEST)) & (patterns < min(int(s["hi"]), _LARGEST))
            keep = self._first(keep, patterns, s, "lo", True)
            keep = self._first(keep, patterns, s, "hi", False)
        elif kind == KEEP_CHANCE:
            keep = self._draws(start, len(values), int(s["key0"]), int(s["key1"])) < int(s["below"])
        elif kind == KEEP_BITS:
            at = start - int(s["bits_from"])
            held = _memory(int(s["bits"]), (at + len(values) + 7) // 8)
            keep = torch.from_numpy(np.unpackbits(held, bitorder="little")[at : at + len(values)].astype(bool))
        else:
            return values
        return values * keep

    @staticmethod
    def _first(keep: Tensor, patterns: Tensor, s: Any, edge: str, value: bool) -> Tensor:
        """The first entries equal to the edge's value, as many as its quota, are kept or dropped; the quota shrinks."""
        quota = int(s[f"{edge}_quota"])
        if quota <= 0:
            return keep
        places = (patterns == int(s[edge]) - 1).nonzero().reshape(-1)[:quota]
        keep[places] = value
        s[f"{edge}_quota"] = quota - len(places)
        return keep

    def _draws(self, start: int, count: int, key0: int, key1: int) -> Tensor:
        place = torch.arange(start, start + count, dtype=torch.int64)
        high = torch.tensor(key1) ^ _mix(place >> 32, 0)
        return _mix((place & _U32) ^ key0, high) >> 8


def _set_bits(chunk: Chunk, s: Any, keep: Tensor) -> None:
    """Write which entries of a chunk stay where the selection's bits are."""
    at = chunk.start - int(s["bits_from"])
    bits = _memory(int(s["bits"]), (at + chunk.count + 7) // 8)
    held = np.unpackbits(bits, bitorder="little")
    held[at : at + chunk.count] = keep.numpy()
    bits[:] = np.packbits(held, bitorder="little")


def _add_norms(values: Tensor, keep: Tensor, out: Floats) -> None:
    """Add the sums of all and of the kept magnitudes to the first two."""
    sizes = values.double().abs()
    for start in range(0, len(sizes), BLOCK):
        part = sizes[start : start + BLOCK]
        out[0] += float(part.sum())
        out[1] += float((part * keep[start : start + BLOCK]).sum())


def _largest_of_blocks(rows: Tensor, free: Tensor, n: int, m: int) -> Tensor:
    """(rows, row) of true and false: of every m neighbours the n largest of the free ones, of equal ones the first."""
    row = rows.shape[1]
    room = torch.full((-(-row // m),), n)
    if row % m:
        room[-1] = -(-n * (row % m) // m)
    sizes = torch.nn.functional.pad(torch.where(free, rows.abs(), -1.0), (0, -row % m), value=-1.0).reshape(len(rows), -1, m)
    order = sizes.argsort(dim=-1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(-1, order, torch.arange(m).expand_as(order))
    return ((rank < room[:, None]) & (sizes >= 0)).reshape(len(rows), -1)[:, :row]


_STEPS: dict[str, Callable[..., Tensor]] = {
    "greater": lambda a, b: a > b,
    "at_least": lambda a, b: a >= b,
    "where": lambda a, b, c: torch.where(a != 0, b, c),
    "rounded": lambda a: a.to(torch.float32),
}
"""The operations of formulas that torch calls otherwise, or answers with true and false."""


def _results(formula: Formula, deltas: Tensor, base: Tensor | None, start: int) -> list[Tensor]:
    """What a formula finds for a chunk; registers as in formulas.h."""
    kind = torch.float64 if formula.wide else deltas.dtype
    rows = base if formula.rows is None else _row_values(formula, start, deltas.shape[1])
    leaves = [*deltas, *(deltas[0] if leaf is None else leaf for leaf in (base, rows))]
    constants = [torch.full_like(leaves[0], float(value), dtype=kind) for value in formula.constants]
    registers = [*(leaf.to(kind) for leaf in leaves), *constants, *([leaves[0]] * formula.temporaries)]
    for step in formula.steps:
        name = OPERATIONS[step["operation"]]
        operands = [registers[step[o]] for o in ("a", "b", "c")[: OPERANDS[name]]]
        operation = _STEPS.get(name) or getattr(torch, name)
        registers[step["out"]] = operation(*operands).to(kind)
    return [registers[result] for result in formula.results]


def _row_values(formula: Formula, start: int, count: int) -> Tensor:
    assert formula.rows is not None
    return torch.from_numpy(formula.rows[np.arange(start, start + count) // formula.row])


def _keys(values: Tensor) -> Tensor:
    """Whole numbers of the order of the values, rounded to float32."""
    bits = (values.to(torch.float32) + 0.0).view(torch.int32).to(torch.int64) & _U32
    return torch.where(bits >> 31 != 0, bits ^ _U32, bits | 0x80000000)


def _memory(address: int, size: int) -> Bytes:
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))


def _mix(x: Tensor, key: Tensor | int) -> Tensor:
    """The avalanche of kernels.c, on 32-bit values held in 64 bits."""
    x = x ^ (x >> 16)
    x = _times(x, 0x7FEB352D)
    x = x ^ (x >> 15)
    x = _times((x + key) & _U32, 0x846CA68B)
    return x ^ (x >> 16)


def _times(x: Tensor, factor: int) -> Tensor:
    """Product modulo 2^32 without leaving 63 bits."""
    return ((x & 0xFFFF) * factor + (((x >> 16) * factor & 0xFFFF) << 16)) & _U32


def _patterns(values: Tensor) -> Tensor:
    """Bit patterns of the magnitudes, as int64."""
    if values.dtype == torch.float64:
        return values.abs().view(torch.int64)
    return values.abs().view(torch.int32).to(torch.int64)


def _variance(deltas: Tensor) -> Tensor:
    mean = deltas[0].clone()
    for values in deltas[1:]:
        mean = mean + values
    mean = mean / len(deltas)
    total = torch.zeros_like(mean)
    for values in deltas:
        total = total + (values - mean) * (values - mean)
    return total / len(deltas)
