"""Time greedy selection against reading its arrays and against AutoGluon's, on the same arrays and metric.

python benchmarks/greedy_selection.py                               50 members, 1 M rows, 25 rounds, without AutoGluon
python benchmarks/greedy_selection.py --autogluon BIN --write       BIN: a Python that has autogluon.core; into the page
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import report

PEER = """
import json, sys, time
import numpy as np
from autogluon.core.metrics import log_loss
from autogluon.core.models.greedy_ensemble.ensemble_selection import EnsembleSelection
stack, y = np.load(sys.argv[1]), np.load(sys.argv[2])
began = time.perf_counter()
found = EnsembleSelection(int(sys.argv[3]), "binary", log_loss).fit(list(stack), y)
print(json.dumps([time.perf_counter() - began, found.weights_.tolist()]))
"""


def make(members: int, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(members, rows) float32 probabilities of the second class from one truth and noise of the member's own size; labels."""
    random = np.random.default_rng(seed)
    truth = random.standard_normal(rows, dtype=np.float32) * 2
    y = (random.random(rows) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    stack = np.empty((members, rows), np.float32)
    for member in stack:
        noise = truth + random.uniform(0.5, 3) * random.standard_normal(rows, dtype=np.float32)
        member[:] = 1 / (1 + np.exp(-noise))
    return stack, y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--autogluon", metavar="BIN", help="a Python that has autogluon.core")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    chosen = parser.parse_args()
    from modelweave.outputs.predictions.learners.greedy import greedy
    from modelweave.outputs.predictions.metrics import METRICS
    from modelweave.outputs.predictions.pool import Pool

    stack, y = make(chosen.members, chosen.rows, 0)
    names = tuple(map(str, range(chosen.members)))
    pool = Pool(names, tuple(stack), "binary", (0, 1), ("out_of_fold",) * chosen.members)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reading, own = [], []
    for _ in range(chosen.runs):
        began = time.perf_counter()
        for _ in range(chosen.rounds):
            for member in stack:
                member.sum()
        reading.append(time.perf_counter() - began)
        began = time.perf_counter()
        found = greedy(pool, y, METRICS["log_loss"], rounds=chosen.rounds)
        own.append(time.perf_counter() - began)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / stack.nbytes
    about = (
        f"{chosen.members} members' float32 probabilities of two classes, {chosen.rows:,} rows, {chosen.rounds} rounds, log loss, best\n"
        f"of {chosen.runs} runs; reading is a sum over each array once a round, on one thread. Memory beside the predictions:\n"
        f"{grown:.2f} copies of them. Again: `python benchmarks/greedy_selection.py`"
    )
    body = [["reading", f"{min(reading):.2f}", "1.0"], ["modelweave", f"{min(own):.2f}", f"{min(own) / min(reading):.1f}"]]
    if chosen.autogluon:
        with tempfile.TemporaryDirectory() as folder:
            files = [str(Path(folder) / name) for name in ("stack.npy", "y.npy")]
            np.save(files[0], stack)
            np.save(files[1], y)
            done = subprocess.run([chosen.autogluon, "-c", PEER, *files, str(chosen.rounds)], check=True, capture_output=True, text=True)
        seconds, weights = json.loads(done.stdout.splitlines()[-1])
        apart = np.abs(np.asarray(weights) - found.rule.weights).max()
        about += f" with `--autogluon`;\nAutoGluon 1.6.3 takes {seconds / min(own):.0f} times as long, its weights differ by {apart:.4f}."
        body.append(["AutoGluon", f"{seconds:.2f}", f"{seconds / min(reading):.1f}"])
    head = ["greedy selection", "s", "times reading"]
    print(about + "\n\n" + report.terminal([head, *body]))
    if chosen.write:
        report.write_section("Greedy selection", about, head, body)


if __name__ == "__main__":
    sys.exit(main())
