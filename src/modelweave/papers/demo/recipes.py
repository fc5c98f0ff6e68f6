"""The demo's recipes, as anyone would write them by hand, and the command that runs one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import ModelweaveError
from ...files import write_text

OPTIONS: Mapping[str, tuple[Mapping[str, float | bool], Mapping[str, float | bool]]] = {
    "linear": ({"weight": 1.0}, {}),
    "task_arithmetic": ({"weight": 0.3}, {}),
    "ties": ({"weight": 1.0, "density": 0.2}, {"normalize": True}),
    "dare_ties": ({"weight": 0.4, "density": 0.5}, {}),
    "breadcrumbs": ({"weight": 0.3, "density": 0.9, "gamma": 0.01}, {}),
    "model_stock": ({}, {}),
}
"""Method to the parameters of each model and those of the whole recipe."""

WITHOUT_BASE = ("linear",)


def recipe(method: str, specialists: Sequence[str]) -> str:
    """The recipe file that merges those specialists by that method, with paths relative to the folder `recipes`.

    >>> print(recipe("linear", ["upright", "turned"]))
    # modelweave merge linear.yml ../merged/linear
    merge_method: linear
    models:
      - model: ../specialists/upright
        parameters: {weight: 1.0}
      - model: ../specialists/turned
        parameters: {weight: 1.0}
    dtype: float32
    <BLANKLINE>
    """
    each, shared = OPTIONS[method]
    lines = [f"# modelweave merge {method}.yml ../merged/{method}", f"merge_method: {method}"]
    if method not in WITHOUT_BASE:
        lines.append("base_model: ../base")
    lines.append("models:")
    for name in specialists:
        lines.append(f"  - model: ../specialists/{name}")
        lines += [f"    parameters: {_flow(each)}"] if each else []
    lines += [f"parameters: {_flow(shared)}"] if shared else []
    return "\n".join([*lines, "dtype: float32", ""])


def slerp_recipe(first: str, second: str) -> str:
    """The recipe of the point halfway between two specialists, on the arc."""
    lines = [
        "# modelweave merge slerp.yml ../merged/slerp",
        "merge_method: slerp",
        f"base_model: ../specialists/{first}",
        "models:",
        f"  - model: ../specialists/{first}",
        f"  - model: ../specialists/{second}",
        "parameters: {t: 0.5}",
        "dtype: float32",
        "",
    ]
    return "\n".join(lines)


def write_recipes(folder: Path, specialists: Sequence[str]) -> tuple[Path, ...]:
    """Write one file a method into the folder; returns them in the order of the table."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {method: recipe(method, specialists) for method in OPTIONS}
    texts["slerp"] = slerp_recipe(specialists[0], specialists[1])
    for method, text in texts.items():
        write_text(folder / f"{method}.yml", text)
    return tuple(folder / f"{method}.yml" for method in texts)


def merge_by_command(file: Path, out: Path) -> None:
    """Run `modelweave merge FILE OUT` in a process of its own, as a user does.

    What it complains of is raised as a ModelweaveError.
    """
    package = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "modelweave", "merge", file.name, str(out.resolve())]
    done = subprocess.run(command, cwd=file.parent, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ModelweaveError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")


def _flow(values: Mapping[str, float | bool]) -> str:
    words = {True: "true", False: "false"}
    inner = ", ".join(f"{k}: {words[v] if isinstance(v, bool) else v}" for k, v in values.items())
    return "{" + inner + "}"
