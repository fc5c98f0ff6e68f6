"""The record of a merge: what went in, what was asked, what became of every tensor."""

from __future__ import annotations

import math
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np

from ...errors import without_secrets
from ...text.json_text import parse_json
from ...text.references import each_side
from ...version import VERSION
from ..tensors import Checkpoint

NAME = "modelweave.json"
FORMAT = 1

_SNAPSHOT = re.compile(r"/models--([^/]+)/snapshots/[^/]+$")
_QUOTED = re.compile(r"'([^'\n]*)'")
_ABSOLUTE = re.compile(r"(?:file://)?(?:/|~[^/]*/|[A-Za-z]:[\\/]|\\\\)(?=.*[^/\\])")


def manifest(
    *,
    recipe: Mapping[str, Any],
    inputs: Sequence[Mapping[str, Any]],
    tensors: Sequence[Mapping[str, Any]],
    seed: int,
    seconds: float,
    **more: Any,
) -> dict[str, Any]:
    """The content of modelweave.json. inputs: each checkpoint's provenance. tensors: one report each. No secrets, no machine's paths.

    >>> record = manifest(recipe={"merge_method": "linear"}, inputs=[{"label": "/data/a"}], tensors=[], seed=0, seconds=1.5)
    >>> record["recipe"], record["inputs"], record["seconds"]
    ({'merge_method': 'linear'}, [{'label': 'a'}], 1.5)
    """

    torch = sys.modules.get("torch")
    versions = {"modelweave": VERSION, "python": platform.python_version(), "numpy": np.__version__}
    if torch is not None:
        versions["torch"] = str(torch.__version__)
    labels = [str(row["label"]) for row in inputs if "label" in row]
    record = {
        "format": FORMAT,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "seed": seed,
        "recipe": recipe,
        "inputs": list(inputs),
        "versions": versions,
        **more,
    }
    cleaned: dict[str, Any] = publishable(record)
    if "dropped" in more:
        cleaned["dropped"] = _dropped(more["dropped"], labels)
    # a tensor's name is data, whatever it looks like
    return cleaned | {"tensors": [{**publishable(row), **({"name": row["name"]} if "name" in row else {})} for row in tensors]}


def _dropped(dropped: Mapping[str, str], labels: Sequence[str]) -> dict[str, str]:
    """`label: name` to reason; labels that would look alike are numbered."""
    short: dict[str, str] = {}
    for label in labels:
        plain, number = publishable(label), 2
        word = plain
        while word in short.values():
            word, number = f"{plain} ({number})", number + 1
        short[label] = word
    found = {}
    for key, reason in dropped.items():
        label = max((label for label in labels if key.startswith(f"{label}: ")), key=len, default="")
        found[short.get(label, label) + key[len(label) :]] = publishable(reason)
    return found


def recorded(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """What an earlier merge left in the checkpoint's modelweave.json; empty where there is none.

    An adapter shows the files of its base, but is another model.
    """
    if checkpoint.parts() or NAME not in checkpoint.side_files():
        return {}
    return parse_json(checkpoint.side_file(NAME), f"model '{checkpoint.label}': '{NAME}'")


def without_paths(text: str) -> str:
    """A model's name as written, or the last folder's name where it was written with an absolute path.

    Each part of `base+adapter` is looked at. A folder in the hub's cache becomes the repository's name.

    >>> without_paths("/home/me/base+./adapter"), without_paths("/cache/models--org--a/snapshots/0f3c")
    ('base+./adapter', 'org/a')
    """
    return each_side(text, _name_of)


def publishable(value: Any) -> Any:
    """Plain data for JSON, YAML and other people: no secrets, no machine's paths, no types and numbers that JSON lacks.

    >>> publishable({"model": "/home/me/a", "density": np.float32(0.5), "limit": float("inf")})
    {'model': 'a', 'density': 0.5, 'limit': 'inf'}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(publishable(key)): publishable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [publishable(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return [publishable(item) for item in sorted(value, key=str)]
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    text = _without_deep_paths(without_secrets(str(value)))
    return _QUOTED.sub(lambda found: f"'{_without_deep_paths(found[1])}'", text)


def _without_deep_paths(text: str) -> str:
    """One name below the root is more likely a token or a filter than a place, as in "/s"."""
    names = [name for name in re.split(r"[/\\]", text) if name]
    return without_paths(text) if len(names) > 1 and "\n" not in text else text


def _name_of(part: str) -> str:
    if not _ABSOLUTE.match(part):
        return part
    path = part.replace("\\", "/").rstrip("/")
    if snapshot := _SNAPSHOT.search(path):
        return snapshot[1].replace("--", "/")
    return path.rpartition("/")[2]
