"""Values from the command line: `--set key.path=value`, with list indices as in `models[0].parameters.weight=0.3`."""

from __future__ import annotations

import copy
import re
from typing import Any

from ...errors import RecipeError
from ...text.yaml_text import read_value

_STEP = re.compile(r"(?:^|\.)([^.\[\]=\s]+)|\[(\d+)\]")


def split_assignment(text: str) -> tuple[tuple[str | int, ...], Any]:
    """The path and the value, which is read as YAML.

    >>> split_assignment("models[0].parameters.weight=[0, 1e-4]")
    (('models', 0, 'parameters', 'weight'), [0, '1e-4'])
    """
    path, equals, value = text.partition("=")
    steps: list[str | int] = []
    at = 0
    path = path.strip()
    while at < len(path):
        found = _STEP.match(path, at)
        if not found:
            break
        steps.append(found.group(1) if found.group(2) is None else int(found.group(2)))
        at = found.end()
    if not equals or at < len(path) or not steps or isinstance(steps[0], int):
        raise RecipeError(f"--set {text}: expected key.path=value, as in parameters.density=0.3 or models[0].parameters.weight=1")
    return tuple(steps), read_value(value, f"--set {text}")


def with_value(data: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """A copy of the recipe with one value set; missing mappings on the way are created, list entries must exist.

    A model that is written as text alone becomes a mapping where one of its keys is set.

    >>> with_value({"models": [{"model": "a"}]}, ("models", 0, "parameters", "weight"), 1)
    {'models': [{'model': 'a', 'parameters': {'weight': 1}}]}
    """
    data = copy.deepcopy(data)
    above: Any = None
    spot: Any = data
    for depth, step in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(step, int):
            if not isinstance(spot, list) or step >= len(spot):
                got = f"a list of {len(spot)}" if isinstance(spot, list) else "no list"
                raise RecipeError(f"--set {_written(path)}: expected a list with an entry [{step}], the recipe has {got}")
        elif isinstance(spot, str) and path[depth - 2 : depth - 1] == ("models",):
            above[path[depth - 1]] = spot = {"model": spot}
        elif not isinstance(spot, dict):
            raise RecipeError(f"--set {_written(path)}: expected a mapping that can hold '{step}', the recipe has {spot!r:.40}")
        if last:
            spot[step] = value
            break
        if isinstance(spot, dict) and spot.get(step) is None:
            spot[step] = {}
        above, spot = spot, spot[step]
    return data


def _written(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
