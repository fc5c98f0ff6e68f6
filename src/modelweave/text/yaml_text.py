"""YAML read with suspicion: no tags, no duplicate keys, no aliases without end, and a line number for every value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ..errors import RecipeError

MOST_BYTES = 1 << 20
MOST_VALUES = 20_000
MOST_LEVELS = 50
_PLAIN = {f"tag:yaml.org,2002:{word}" for word in ("str", "int", "float", "bool", "null", "seq", "map", "merge", "value")}
_STRING, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Parsed:
    """One YAML document. lines: the line of each value, by its path of keys and indices."""

    data: Any
    lines: Mapping[Path, int]


def read_yaml(text: str | bytes, where: str) -> list[Parsed]:
    """The documents of a YAML text.

    Raises RecipeError, which begins with `where` and the line, for anything but plain text, numbers, lists and mappings;
    for duplicate keys and keys that are not text; and for texts that are too long, too deep or grow too large by aliases.
    >>> read_yaml("dtype: float16", "recipe.yml")[0].data
    {'dtype': 'float16'}
    """
    text = _decoded(text, where)
    loader = yaml.SafeLoader(text)
    found = []
    try:
        while loader.check_node():
            node: yaml.Node = loader.get_node()  # type: ignore[assignment]
            _check(node, where)
            found.append(Parsed(loader.construct_document(node), dict(_lines(node, ()))))
    except yaml.MarkedYAMLError as error:
        raise RecipeError(_sentence(error, where, text)) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise RecipeError(f"{where}: not YAML, {' '.join(str(error).split())}") from None
    except RecursionError:
        raise RecipeError(f"{where}: expected at most {MOST_LEVELS} levels, the text nests deeper") from None
    finally:
        loader.dispose()
    return found


def read_value(text: str, where: str) -> Any:
    """One value as YAML reads it, as in "[0, 0.5]" -> [0, 0.5]; nothing is None."""
    found = read_yaml(text, where)
    return found[0].data if found else None


def _decoded(text: str | bytes, where: str) -> str:
    if len(text) > MOST_BYTES:
        raise RecipeError(f"{where}: expected at most {MOST_BYTES} bytes of YAML, got {len(text)}")
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{where}: expected YAML as UTF-8 text, got other bytes at offset {error.start}") from None
    bad = yaml.reader.Reader.NON_PRINTABLE.search(decoded)
    if bad:
        raise RecipeError(f"{where}: expected YAML text, got the character {bad.group()!r} at offset {bad.start()}")
    return decoded


def _sentence(error: yaml.MarkedYAMLError, where: str, text: str) -> str:
    mark = error.problem_mark or error.context_mark
    number = mark.line + 1 if mark else 1
    problem = " ".join(str(error.problem or error.context).split())
    lines = text.splitlines()
    line = lines[number - 1] if number <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())] or "'\\t'" in problem:
        problem = "a tab stands where YAML wants spaces; indent with spaces"
    return f"{where}: line {number}: not YAML, {problem}"


def _check(root: yaml.Node, where: str) -> None:
    """Refuse what a recipe never needs, before a single value is built; shared nodes are counted as often as they appear."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node, depth: int) -> int:
        line = f"{where}: line {node.start_mark.line + 1}"
        if id(node) in open_nodes:
            raise RecipeError(f"{line}: an alias contains itself; write the value out")
        if depth > MOST_LEVELS:
            raise RecipeError(f"{line}: expected at most {MOST_LEVELS} levels, the text nests deeper")
        if id(node) not in sizes:
            if node.tag not in _PLAIN:
                raise RecipeError(f"{line}: expected plain values, got {node.tag.replace('tag:yaml.org,2002:', '!!')}; quote text")
            if isinstance(node, yaml.MappingNode):
                _check_keys(node, where)
            open_nodes.add(id(node))
            sizes[id(node)] = 1 + sum(size(child, depth + 1) for child in _children(node))
            open_nodes.discard(id(node))
        if sizes[id(node)] > MOST_VALUES:
            raise RecipeError(f"{line}: aliases make this larger than {MOST_VALUES} values; write the recipe without them")
        return sizes[id(node)]

    size(root, 0)


def _check_keys(node: yaml.MappingNode, where: str) -> None:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.tag == _MERGE:
            continue
        if key.tag != _STRING:
            got = f"{key.value!r}, which YAML does not read as text; put it in quotes" if isinstance(key.value, str) else "a structure"
            raise RecipeError(f"{where}: line {line}: expected text as a key, got {got}")
        if key.value in seen:
            raise RecipeError(f"{where}: line {line}: key '{key.value}' appears twice, first on line {seen[key.value]}; keep one")
        seen[key.value] = line


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [value for _, value in node.value]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _lines(node: yaml.Node, path: Path) -> Iterator[tuple[Path, int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, key.value)
            yield from _lines(value, inner)
            # the line of the key is where the eye looks
            yield inner, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*path, index))
