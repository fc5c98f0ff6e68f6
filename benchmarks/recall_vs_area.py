"""Time of Recall vs Area against sorting the same maps once: python benchmarks/recall_vs_area.py --queries 3000 --cells 1000000

Maps are random float32 numbers, made block by block, so memory does not grow with the queries. Each block is measured in turn by
`numpy.argsort` of every row, in its default order and on one thread, and by recall_vs_area; making a block counts for neither. The best
of the runs counts. The areas of the first queries are also taken from a stable sort, and the largest difference between the two is printed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import report
from numpy.typing import NDArray

from modelweave.outputs.geolocation.grid import equal_angle_grid
from modelweave.outputs.geolocation.recall_vs_area import recall_vs_area

BLOCK_SCORES = 1 << 24  # 64 MiB of float32


def blocks(queries: int, cells: int, seed: int = 0) -> Iterator[NDArray[np.float32]]:
    """Rows of random scores, as many at a time as make 64 MiB."""
    chance = np.random.default_rng(seed)
    step = max(1, BLOCK_SCORES // cells)
    for start in range(0, queries, step):
        yield chance.random((min(step, queries - start), cells), dtype=np.float32)


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def sorted_once(maps: NDArray[np.float32]) -> None:
    for row in maps:
        np.argsort(row)


def largest_difference(maps: NDArray[np.float32], areas: NDArray[np.float64], truth: NDArray[np.intp]) -> float:
    """Between the areas by recall_vs_area and by a stable sort with cumulative sums, relative."""
    order = np.argsort(-maps, axis=1, kind="stable")
    reached = np.cumsum(areas[order], axis=1)
    slow = reached[order == truth[:, None]]
    return float(np.max(np.abs(recall_vs_area(maps, areas, truth).area / slow - 1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--cells", type=int, default=1_000_000, help="rounded to a grid of n x 2n")
    parser.add_argument("--threads", type=int, default=1, help="of recall_vs_area")
    parser.add_argument("--runs", type=int, default=3, help="rounds over each block, of which the best counts")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    side = max(1, round((options.cells / 2) ** 0.5))
    grid = equal_angle_grid(side, 2 * side)
    areas, truth = grid.areas, np.random.default_rng(1).integers(grid.cells, size=options.queries)
    ways: dict[str, dict[str, Any]] = {
        "score, index": {},
        "score, pessimistic": {"ties": "pessimistic"},
        "density, index": {"rank": "density"},
    }
    sorting, took, done, apart = 0.0, dict.fromkeys(ways, 0.0), 0, None
    for maps in blocks(options.queries, grid.cells):
        here = truth[done : done + len(maps)]
        done += len(maps)
        apart = largest_difference(maps[:4], areas, here[:4]) if apart is None else apart
        rounds = [
            (
                seconds(lambda: sorted_once(maps)),  # noqa: B023
                *(seconds(lambda: recall_vs_area(maps, areas, here, threads=options.threads, **way)) for way in ways.values()),  # noqa: B023
            )
            for _ in range(options.runs)
        ]
        best = [min(times) for times in zip(*rounds, strict=True)]
        sorting += best[0]
        for name, value in zip(ways, best[1:], strict=True):
            took[name] += value
    about = (
        f"{options.queries:,} maps of {grid.cells:,} float32 cells, {options.threads} thread(s), best of {options.runs}; sorting is "
        f"`numpy.argsort` of each map once.\nLargest relative difference to the areas by a stable sort: {apart or 0:.1e}. Again: "
        f"`python benchmarks/recall_vs_area.py --queries {options.queries} --runs {options.runs}`"
    )
    head = ["recall versus area", "s", "times sorting"]
    body = [["sorting", f"{sorting:.2f}", "1"], *([name, f"{value:.2f}", f"{value / sorting:.3f}"] for name, value in took.items())]
    print(about + "\n\n" + report.terminal([head, *body]))
    if options.write:
        report.write_section("Recall versus area", about, head, body)


if __name__ == "__main__":
    main()
