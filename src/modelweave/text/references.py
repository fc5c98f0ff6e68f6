"""How models are named: a folder or file, an address, a hub id with a revision, each also with an adapter over it.

path[@revision][+adapter[@revision]]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import RecipeError, unknown

_ID = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*)(@(?P<revision>[\w.][\w./-]*))?", re.ASCII)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::[^+]*)?://.+", re.DOTALL)


def hub_id(text: str) -> tuple[str, str | None] | None:
    """Repository and revision of a text such as "org/name@main", None for anything else.

    >>> hub_id("org/name@v2"), hub_id("./folder"), hub_id("a/b/c")
    (('org/name', 'v2'), None, None)
    """
    found = _ID.fullmatch(text)
    if found is None or len(found["repo"]) > 96 or "--" in found["repo"] or ".." in text:
        return None
    return found["repo"], found["revision"]


def is_address(text: str) -> bool:
    """Whether a text is an address as fsspec reads it.

    >>> is_address("s3://bucket/a"), is_address("zip::https://host/a.zip"), is_address("org/name")
    (True, True, False)
    """
    return _ADDRESS.fullmatch(text) is not None


def base_and_adapter(text: str, exists: Callable[[str], bool] = lambda name: False) -> tuple[str, str] | None:
    """The sides of "base+adapter", None without an adapter; of several '+' the one most of whose sides exist, else the last.

    >>> base_and_adapter("base+adapter"), base_and_adapter("a+b+c", lambda name: name == "b+c"), base_and_adapter("a+")
    (('base', 'adapter'), ('a', 'b+c'), None)
    """
    cuts = [at for at in range(len(text) - 1, 0, -1) if text[at] == "+" and text[at + 1 :]]
    if not cuts:
        return None
    best = max(cuts, key=lambda at: exists(text[:at]) + exists(text[at + 1 :]))
    return text[:best], text[best + 1 :]


def each_side(text: str, change: Callable[[str], str]) -> str:
    """A name whose base and adapters were changed one by one.

    >>> each_side("a+b", str.upper)
    'A+B'
    """
    return "+".join(map(change, text.split("+")))


def plain_name(text: str) -> str:
    """A name without adapter and revision.

    >>> plain_name("org/name@v2+org/adapter")
    'org/name'
    """
    return text.split("+")[0].split("@")[0]


def reference(value: Any, where: str) -> str:
    """A model's name as one text, from text or from mergekit's mapping form. Raises RecipeError, begun with `where`, for anything else.

    >>> reference({"model": {"path": "org/name", "revision": "v2"}, "lora": "org/adapter"}, "tokenizer.source")
    'org/name@v2+org/adapter'
    """
    if isinstance(value, Mapping) and "model" in value:
        _check_keys(value, ("model", "lora", "override_architecture"), where)
        adapter = value.get("lora")
        return reference(value["model"], where) + ("" if adapter is None else f"+{reference(adapter, where)}")
    if isinstance(value, Mapping) and "path" in value:
        _check_keys(value, ("path", "revision"), where)
        revision = value.get("revision")
        return reference(value["path"], where) + ("" if revision is None else f"@{revision}")
    if not isinstance(value, str) or not value.strip():
        raise RecipeError(f"{where}: expected the name of a model, got {value!r}")
    return value


def _check_keys(value: Mapping[Any, Any], known: tuple[str, ...], where: str) -> None:
    for key in value:
        if key not in known:
            raise RecipeError(f"{where}: " + unknown("key", str(key), known))
