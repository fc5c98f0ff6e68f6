"""CPU seconds of whole merges on one thread, as ratios to linear's in the same run.

python benchmarks/ratios.py                              all methods that have a goal, 1.1 B parameters
python benchmarks/ratios.py --size 350m --methods pcb --no-write
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import report
from bench import OWN, machine, once
from make_checkpoints import SIZES, write_checkpoints
from measure import Cost, run_process
from methods import METHODS

HEAD = ["method", "CPU s", "times linear", "goal"]


def on_one_thread(recipe: str, folder: Path) -> Cost:
    """One merge of a recipe in the folder of the checkpoints."""
    return run_process([sys.executable, "-m", "modelweave", "merge", recipe, "out", "--threads", "1"], cwd=folder, env=OWN)


def lines(folder: Path, methods: list[str]) -> list[list[str]]:
    """One line a method, in one run; linear's seconds are the mean of three runs: the first, one in the middle, the last."""
    middle = len(methods) // 2
    runs = ["linear", *methods[:middle], "linear", *methods[middle:], "linear"]
    seconds: dict[str, list[float]] = {}
    for method in runs:
        seconds.setdefault(method, []).append(once(on_one_thread, method, folder).cpu)
        print(f"{method:16s} {seconds[method][-1]:8.2f} CPU s", flush=True)
    means = {method: sum(found) / len(found) for method, found in seconds.items()}
    goals = {method: "" if METHODS[method].ratio is None else f"{METHODS[method].ratio:g}" for method in means}
    return [[method, f"{mean:.1f}", f"{mean / means['linear']:.1f}", goals[method]] for method, mean in means.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=[size for size in SIZES if size != "tiny"], default="1.1b")
    parser.add_argument("--methods", help="comma-separated; by default ties and all that have a goal")
    parser.add_argument("--dir", type=Path, help="where the checkpoints go and stay; a temporary folder by default")
    parser.add_argument("--no-write", action="store_true", help="leave docs/benchmarks.md as it is")
    given = parser.parse_args()
    methods = given.methods.split(",") if given.methods else ["ties", *(m for m, timed in METHODS.items() if timed.ratio is not None)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_checkpoints(given.dir or Path(temporary), given.size)["base"].parent
        table = lines(folder, methods)
    print("\n" + report.terminal([HEAD, *table]))
    if not given.no_write:
        about = (
            f"{SIZES[given.size].parameters / 1e6:,.0f} M parameters, a base and three fine-tunes, whole processes on one thread: user\n"
            f"and system time, one run each. {machine()['system']}. Again: `python benchmarks/ratios.py --size {given.size}`"
        )
        report.write_section("CPU seconds, as ratios to linear", about, HEAD, table)


if __name__ == "__main__":
    main()
