"""The walk that every comparison reads through: values in any pieces, sums by layer and kind, and that it stops."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from modelweave.analysis import walk as module
from modelweave.analysis.diff import compare
from modelweave.analysis.interference import interfere
from modelweave.analysis.walk import Reader, match, walk
from modelweave.checkpoints.memory import MemoryCheckpoint
from modelweave.checkpoints.open import open_checkpoint
from modelweave.checkpoints.tensors import Checkpoint, TensorRef
from modelweave.errors import CheckpointError

WAYS: dict[str, Callable[..., Any]] = {
    "two": compare,
    "two and a base": lambda a, b, **options: compare(a, b, a, **options),
    "several": lambda a, b, **options: interfere(a, [b, a, b], **options),
}
BYTES = {"two": 2, "two and a base": 3, "several": 4}


def model(seed: int, **shapes: tuple[int, ...]) -> MemoryCheckpoint:
    chance = np.random.default_rng(seed)
    return open_checkpoint({name.replace("__", "."): chance.normal(size=shape).astype(np.float32) for name, shape in shapes.items()})


@pytest.mark.parametrize(("chunk", "block"), [(1 << 18, 1 << 16), (100, 10), (7, 1000), (1, 2)])
def test_blocks_are_the_values_in_order(monkeypatch: pytest.MonkeyPatch, chunk: int, block: int) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    monkeypatch.setattr(module, "BLOCK", block)
    refs = tuple(model(seed, w=(13, 17))["w"] for seed in range(2))
    moved: list[int] = []
    reader = Reader(refs, moved.append)
    blocks = [values.copy() for values in reader.blocks()]
    wanted = np.stack([ref.to_torch().numpy().astype(np.float64).ravel() for ref in refs])
    assert np.array_equal(np.concatenate(blocks, axis=1), wanted) and max(values.shape[1] for values in blocks) == reader.width
    assert np.array_equal(reader.read(5, 50), wanted[:, 5:50])
    assert sum(moved) == 2 * 4 * 13 * 17 and len(moved) == -(-13 * 17 // chunk)
    assert not list(Reader((model(0, w=(0, 3))["w"],)).blocks())


def test_sums_are_those_of_the_groups() -> None:
    found = model(0, embed__weight=(3,), h__0__up__weight=(2, 2), h__0__up__bias=(2,), h__1__up__weight=(5,), h__1__down__weight=(1,))
    groups = walk({name: (ref,) for name, ref in found.items()}, lambda tensor: sum(block.shape[1] for block in tensor.blocks()))
    assert [(g.layer, g.kind, g.tensors, g.sums) for g in groups] == [
        (None, "embed", 1, 3),
        (0, "up", 2, 6),
        (1, "up", 1, 5),
        (1, "down", 1, 1),
    ]


def test_what_matches() -> None:
    a, b = model(0, x=(2,), y=(2, 3), s=()), model(1, x=(2,), y=(3, 2), s=(1,))
    tensors, skipped = match(("x", "y", "s", "z"), (a, b), lambda found: "nowhere" if None in found else None)
    assert list(tensors) == ["x"] and tensors["x"] == (a["x"], b["x"])
    assert skipped == {"y": "shapes differ: 2x3, 3x2", "s": "shapes differ: scalar, 1", "z": "nowhere"}


class Slow(TensorRef):
    """Zeros, each of which takes its time; or an error."""

    def __init__(self, name: str, count: int, *, damaged: bool = False) -> None:
        super().__init__(name, (count,), "F16")
        self.damaged, self.reads, self.gate = damaged, 0, threading.Event()

    def read_into(self, start: int, out: Any) -> None:
        if self.damaged:
            raise CheckpointError("w is damaged")
        self.reads += 1
        if start:  # the pieces of a sample are few
            self.gate.wait(0.005)
        out[:] = 0


@pytest.mark.parametrize("way", WAYS)
def test_an_error_stops_the_other_tensors(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr(module, "CHUNK", 1)
    slow = Slow("slow", 100)
    found = Checkpoint("m", {"bad": Slow("bad", 1, damaged=True), "slow": slow, **{f"more{i}": slow for i in range(9)}})
    with pytest.raises(CheckpointError, match="w is damaged"):
        WAYS[way](found, found, threads=2)
    # a handful of pieces of thousands
    assert slow.reads < 50


@pytest.mark.parametrize("way", WAYS)
def test_an_interrupt_stops_all_tensors(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr(module, "CHUNK", 1)
    slow = [Slow(f"slow{i}", 200) for i in range(4)]
    found = Checkpoint("m", {ref.name: ref for ref in slow})

    def interrupt(done: int, total: int) -> None:
        assert total == BYTES[way] * 4 * 200 * 2
        if done >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        WAYS[way](found, found, threads=2, progress=interrupt)
    assert sum(ref.reads for ref in slow) < 100


@pytest.mark.parametrize("way", WAYS)
def test_progress_ends_at_all_bytes_and_threads_change_nothing(way: str) -> None:
    a, b = (model(seed, **{f"h__{i}__w": (31, 9) for i in range(6)}) for seed in range(2))
    seen: list[tuple[int, int]] = []
    one, many = WAYS[way](a, b, threads=1), WAYS[way](a, b, threads=5, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen) and seen[-1] == (BYTES[way] * 6 * 31 * 9 * 4,) * 2
    assert repr(one.total) == repr(many.total)
