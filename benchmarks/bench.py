"""Time modelweave against the disk and against mergekit, as whole processes.

    python benchmarks/bench.py                                  1.1 B parameters, mergekit in an environment made here
    python benchmarks/bench.py --size 50m --without-mergekit    a minute
    python benchmarks/bench.py --mergekit BIN                   a mergekit-yaml that is already there (or MERGEKIT=BIN)

Needs room for four inputs and one output (11 GB at 1.1 B) and, for a fair picture, memory that holds the inputs.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import report
from make_checkpoints import SIZES, write_checkpoints
from measure import Cost, run_process
from methods import METHODS

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "src"
PEER_ENVIRONMENT = HERE / ".mergekit-env"
# neither tool may wait for a network that has nothing to say about local folders, or compile itself anew in every run
QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": ""}
OWN = {**QUIET, "PYTHONPATH": os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])}

SHORT = 15.0

Runner = Callable[[str, Path], Cost]


def mergekit_command(given: str | None) -> str:
    """The mergekit-yaml to run: the one given, or one installed into an environment beside this file."""
    if given:
        found = shutil.which(given)
        if found is None:
            raise SystemExit(f"--mergekit: expected the program mergekit-yaml, found nothing to run at {given}")
        # not resolved: a virtual environment is found through the link, not through what it points to
        return os.path.abspath(found)
    program = PEER_ENVIRONMENT / "bin" / "mergekit-yaml"
    if not program.exists():
        print(f"installing mergekit 0.1.5 into {PEER_ENVIRONMENT.name} (once, some minutes)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(PEER_ENVIRONMENT)], check=True)
        pip = [str(PEER_ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "torch==2.13.0"], check=True)
        subprocess.run([*pip, "mergekit==0.1.5"], check=True)
    return str(program)


def runners(mergekit: str | None) -> dict[str, Runner]:
    """Tool to the function that merges one recipe with it, in the folder of the checkpoints."""

    def own(recipe: str, folder: Path) -> Cost:
        command = [sys.executable, "-m", "modelweave", "merge", recipe, "out"]
        return run_process(command, cwd=folder, env=OWN)

    def peer(recipe: str, folder: Path) -> Cost:
        return run_process([str(mergekit), recipe, "out", "--no-write-model-card"], cwd=folder, env=QUIET)  # its card asks the hub

    return {"modelweave": own, **({"mergekit": peer} if mergekit else {})}


def back_free_memory(folder: Path) -> None:
    """Write and remove a file of the output's size.

    A virtual machine hands freed pages back to its host, and the next run to write pays for having them again: by this, every run
    finds the pages that its output needs.
    """
    with tempfile.NamedTemporaryFile(dir=folder) as again:
        shutil.copyfile(folder / "base" / "model.safetensors", again.name)


def once(run: Runner, method: str, folder: Path) -> Cost:
    """One merge from warm inputs; the output is checked for being there, then removed."""
    back_free_memory(folder)
    recipe = folder / f"{method}.yml"
    recipe.write_text(METHODS[method].recipe(method), encoding="utf-8")
    try:
        cost = run(recipe.name, folder)
        if not list((folder / "out").glob("*.safetensors")):
            raise SystemExit(f"{method}: the run ended well but wrote no .safetensors file")
        return cost
    finally:
        shutil.rmtree(folder / "out", ignore_errors=True)


def repeated(run: Runner, method: str, folder: Path) -> Iterator[Cost]:
    """One merge, and four more where it was over within SHORT seconds: a short run is easily disturbed."""
    cost = once(run, method, folder)
    yield cost
    for _ in range(4 if cost.wall < SHORT else 0):
        yield once(run, method, folder)


def floor(inputs: Sequence[str], folder: Path) -> Cost:
    """Read the inputs and copy one file of the output's size, with the system's own tools."""
    files = " ".join(f"{member}/model.safetensors" for member in inputs)
    back_free_memory(folder)
    try:
        script = f"cat {files} > /dev/null && cp {inputs[0]}/model.safetensors floor.out"
        return run_process(["sh", "-c", script], cwd=folder)
    finally:
        (folder / "floor.out").unlink(missing_ok=True)


def measure(tools: dict[str, Runner], chosen: Sequence[str], size: str, runs: int, scratch: Path) -> dict[str, Any]:
    """All costs of one size: in every round each start-up and each method, tool after tool, and before each the method's floor."""
    folder = write_checkpoints(scratch, size)["base"].parent
    tiny = write_checkpoints(scratch, "tiny")["base"].parent
    floors: dict[str, list[Cost]] = {}
    starts: dict[str, list[Cost]] = {tool: [] for tool in tools}
    costs: dict[str, dict[str, list[Cost]]] = {tool: {method: [] for method in chosen} for tool in tools}
    for number in range(1, runs + 1):
        floor(("base", "a", "b", "c"), folder)  # warms the page cache; not counted
        for tool, run in tools.items():
            starts[tool].extend(repeated(run, "linear", tiny))
        for method in chosen:
            inputs = METHODS[method].inputs
            for tool, run in tools.items():
                floors.setdefault(str(len(inputs)), []).extend(floor(inputs, folder) for _ in range(2))
                for cost in repeated(run, method, folder):
                    costs[tool][method].append(cost)
                    print(f"round {number}/{runs}  {method:16s} {tool:10s} {cost.wall:8.2f} s", flush=True)
    return {
        "floors": {count: report.summary(found) for count, found in floors.items()},
        "tools": {
            tool: {
                "startup": report.summary(starts[tool]),
                "methods": {method: report.summary(found) for method, found in costs[tool].items()},
            }
            for tool in tools
        },
    }


def machine() -> dict[str, Any]:
    """What a reader must know of the machine to place the seconds."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return {"cores": len(os.sched_getaffinity(0)), "memory_gb": round(memory / 1e9), "system": system}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=[size for size in SIZES if size != "tiny"], default="1.1b")
    parser.add_argument("--methods", help="comma-separated; all by default")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dir", type=Path, help="where the checkpoints go and stay; a temporary folder by default")
    parser.add_argument("--mergekit", default=os.environ.get("MERGEKIT"), help="path of mergekit-yaml")
    parser.add_argument("--without-mergekit", action="store_true")
    parser.add_argument("--no-write", action="store_true", help="leave results.json and docs/benchmarks.md as they are")
    given = parser.parse_args()
    compared = [method for method, timed in METHODS.items() if timed.goal is not None]
    given.methods = given.methods.split(",") if given.methods else compared
    strangers = set(given.methods) - set(compared)
    if strangers or given.runs < 1:
        parser.error(f"--methods are among {', '.join(compared)}, and --runs is at least 1")
    return given


def main() -> None:
    given = arguments()
    tools = runners(None if given.without_mergekit else mergekit_command(given.mergekit))
    with tempfile.TemporaryDirectory() as temporary:
        scratch = given.dir or Path(temporary)
        found = measure(tools, given.methods, given.size, given.runs, scratch)
    about = {"size": given.size, "parameters": SIZES[given.size].parameters, "runs": given.runs}
    result = {**about, "date": time.strftime("%Y-%m-%d"), "machine": machine(), **found}
    print("\n" + report.terminal(report.rows(result)))
    for tool, costs in result["tools"].items():
        print(f"start-up of {tool}: {costs['startup']['best']:.2f} s")
    if not given.no_write:
        report.write(result, json_file=HERE / "results.json", docs=HERE.parent / "docs" / "benchmarks.md")


if __name__ == "__main__":
    main()
