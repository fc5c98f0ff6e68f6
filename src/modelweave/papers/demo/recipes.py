"""The demo's recipes, as anyone would write them by hand, and the command that runs one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import ModelweaveError
from ...files import write_text
from ...text.yaml_writer import write_yaml

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
    <BLANKLINE>
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
    members = [{"model": f"../specialists/{name}", **({"parameters": each} if each else {})} for name in specialists]
    base = {} if method in WITHOUT_BASE else {"base_model": "../base"}
    return _written({"merge_method": method, **base, "models": members, **({"parameters": shared} if shared else {})})


def slerp_recipe(first: str, second: str) -> str:
    """The recipe of the point halfway between two specialists, on the arc."""
    members = [{"model": f"../specialists/{name}"} for name in (first, second)]
    return _written({"merge_method": "slerp", "base_model": members[0]["model"], "models": members, "parameters": {"t": 0.5}})


def _written(data: Mapping[str, Any]) -> str:
    method = data["merge_method"]
    return write_yaml({**data, "dtype": "float32"}, [f"modelweave merge {method}.yml ../merged/{method}"])


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
    package = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "modelweave", "merge", file.name, str(out.resolve())]
    done = subprocess.run(command, cwd=file.parent, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ModelweaveError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
