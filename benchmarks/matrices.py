"""Time of the spectral methods against the decompositions that they need: python benchmarks/matrices.py --size 1024

Each method's parts run on a stack of four random square matrices, as the engine calls them, on one thread. "needs" is what the formula
asks for at least: full singular value decompositions of single members or of their sum, or Gram matrices with their eigenvectors.
Both are timed in turn, the best of the runs counts, and the ratio of the two is what docs/benchmarks.md shows.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import report
import torch
from torch import Tensor

from modelweave.catalog import METHODS
from modelweave.weights.part import Context, spec_of

HERE = Path(__file__).resolve().parent
MEMBERS = 4


def decompositions(svds: int, grams: int) -> Callable[[Tensor], None]:
    """That many singular value decompositions, and eigenvectors of Gram matrices over all members, in float32 and float64."""

    def work(deltas: Tensor) -> None:
        for i in range(svds):
            torch.linalg.svd(deltas[i % MEMBERS], full_matrices=False)
        for _ in range(grams):
            wide = deltas.double()
            torch.linalg.eigh((wide @ wide.transpose(1, 2)).sum(0))

    return work


NEEDS: dict[str, tuple[str, Callable[[Tensor], Any]]] = {
    "tsv_m": ("6 SVDs", decompositions(MEMBERS + 2, 0)),
    "iso_c": ("1 SVD", decompositions(1, 0)),
    "iso_cts": ("7 SVDs", decompositions(MEMBERS + 3, 0)),
    "knots": ("1 SVD, side by side", lambda deltas: torch.linalg.svd(torch.cat(list(deltas), 1), full_matrices=False)),
    "core_space": ("2 Grams, 6 SVDs", decompositions(MEMBERS + 2, 2)),
    "star": ("4 SVDs", decompositions(MEMBERS, 0)),
    "cart": ("4 SVDs", decompositions(MEMBERS, 0)),
    "swudi": ("1 Gram", decompositions(0, 1)),
}


def merge(name: str, deltas: Tensor) -> Tensor:
    """The direction that a method finds for one matrix."""
    row = METHODS[name]
    defaults = {p.name: p.default for p in row.parameters}
    context = Context("w", tuple(deltas.shape[1:]), ({"weight": 1.0},) * MEMBERS)

    def options(part: Any) -> dict[str, Any]:
        return {word: defaults[word] for word in spec_of(part).options}

    for step in row.per_delta:
        deltas = step(deltas, context, **options(step))
    back: Callable[[Tensor], Tensor] = lambda merged: merged  # noqa: E731
    if row.space is not None:
        deltas, back = row.space(deltas, context)
    return back(row.combine(deltas, context, **options(row.combine)))


def best(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="rows and columns")
    parser.add_argument("--runs", type=int, default=3, help="rounds, of which the best counts")
    parser.add_argument("--methods", default=",".join(NEEDS), help="names, with commas")
    parser.add_argument("--no-write", action="store_true", help="leave matrices.json and docs/benchmarks.md as they are")
    options = parser.parse_args()
    torch.set_num_threads(1)
    deltas = torch.randn(MEMBERS, options.size, options.size, generator=torch.Generator().manual_seed(0))
    print(f"{MEMBERS} matrices of {options.size} x {options.size}, one thread, best of {options.runs}\n")
    print(f"{'method':12s}{'needs':18s}{'needs s':>9s}{'method s':>10s}{'ratio':>7s}")
    lines = []
    for name in options.methods.split(","):
        words, needed = NEEDS[name]
        pairs = [(best(lambda: needed(deltas)), best(lambda: merge(name, deltas))) for _ in range(options.runs)]  # noqa: B023
        needs, took = (min(times) for times in zip(*pairs, strict=True))
        print(f"{name:12s}{words:18s}{needs:9.2f}{took:10.2f}{took / needs:7.2f}", flush=True)
        lines.append([name, words, f"{needs:.2f}", f"{took:.2f}", f"{took / needs:.2f}"])
    if not options.no_write:
        label = f"{MEMBERS} of {options.size} x {options.size}"
        report.write_matrices(label, lines, json_file=HERE / "results.json", docs=HERE.parent / "docs" / "benchmarks.md")


if __name__ == "__main__":
    main()
