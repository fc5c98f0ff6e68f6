"""Time merges on a CUDA device against all cores of the same machine, and compare the results.

    python benchmarks/device.py --size 350m --methods iso_c,tsv_m

Whole processes, one uncounted run first to warm the page cache, then the best of `--runs`. A difference is the largest one of any
entry, relative to the largest entry of its tensor.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import report
from bench import OWN, machine
from make_checkpoints import SIZES, write_checkpoints
from measure import run_process

METHODS = "iso_c,tsv_m"
MEMORY = "16GiB"
"""Enough for as many whole matrices at once as there are cores."""


def merge(method: str, device: str, folder: Path) -> float:
    """Seconds of one merge into the folder `device`."""
    shutil.rmtree(folder / device, ignore_errors=True)
    (folder / "recipe.yml").write_text(_recipe(method), encoding="utf-8")
    command = [sys.executable, "-m", "modelweave", "merge", "recipe.yml", device, "--device", device, "--memory", MEMORY]
    return run_process(command, cwd=folder, env=OWN).wall


def _recipe(method: str) -> str:
    base, members = {"linear": ("", "abc"), "arcee_fusion": ("a", "b")}.get(method, ("base", "abc"))
    lines = [f"merge_method: {method}", "dtype: bfloat16", *([f"base_model: {base}"] if base else []), "models:"]
    weight = ", parameters: {weight: 1.0}" if method == "linear" else ""
    return "\n".join([*lines, *(f"  - {{model: {name}{weight}}}" for name in members), ""])


def difference(folder: Path, device: str) -> float:
    """How far the device's result is from the CPU's."""
    from safetensors.torch import load_file

    ours, theirs = (load_file(folder / name / "model.safetensors") for name in ("cpu", device))
    return max(float((ours[n].float() - theirs[n].float()).abs().max() / ours[n].float().abs().max()) for n in ours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(SIZES), default="350m")
    parser.add_argument("--methods", default=METHODS, help="names, with commas")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--write", metavar="NAME", help="put the table under this name of the device into docs/benchmarks.md")
    given = parser.parse_args()
    body = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_checkpoints(Path(temporary), given.size)["base"].parent
        merge("linear", "cpu", folder)
        for method in given.methods.split(","):
            cpu, device = (min(merge(method, where, folder) for _ in range(given.runs)) for where in ("cpu", given.device))
            body.append([method, f"{cpu:.2f}", f"{device:.2f}", f"{cpu / device:.1f}", f"{difference(folder, given.device):.1e}"])
            print("  ".join(body[-1]), flush=True)
    head = ["method", "CPU s", "device s", "times faster", "difference"]
    print("\n" + report.terminal([head, *body]))
    if given.write:
        size = f"{SIZES[given.size].parameters / 1e6:.0f} M parameters, {machine()['cores']} cores against {given.write}"
        again = f"python benchmarks/device.py --size {given.size} --methods {given.methods} --runs {given.runs}"
        about = f"{size}, whole processes, `--memory {MEMORY}`; a difference is relative to the largest entry. Again: `{again}`"
        report.write_section("On a CUDA device", about, head, body)


if __name__ == "__main__":
    main()
