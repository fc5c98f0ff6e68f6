"""From a recipe file to checked documents: several documents a file, includes, values from the command line."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import RecipeError
from ...text.references import plain_name
from ...text.yaml_text import Parsed, read_yaml
from .document import Document, validated
from .set_values import split_assignment, with_value

MOST_INCLUDES = 20


def load_recipe(path: str | Path, sets: Sequence[str] = ()) -> tuple[Document, ...]:
    """The documents of a recipe file, those first whose results later ones use.

    sets: assignments as after `--set`. Raises RecipeError for a file that cannot be read or does not hold recipes.
    """
    path = Path(path)
    return parse_recipe(_read(path), where=path.name, sets=sets, near=path.parent, _trail=(_identity(path),))


def parse_recipe(
    text: str | bytes, *, where: str = "recipe", sets: Sequence[str] = (), near: str | Path | None = None, _trail: tuple[str, ...] = ()
) -> tuple[Document, ...]:
    """The documents of a recipe's text. where: begins every message. near: folder that `include` starts from.

    >>> parse_recipe("{merge_method: linear, models: [{model: a}], parameters: {weight: 1}}", sets=["dtype=float32"])[0].dtype
    'float32'
    """
    folder = Path(near) if near is not None else Path()
    found = [parsed for parsed in read_yaml(text, where) if parsed.data is not None]
    if not found:
        raise RecipeError(f"{where}: expected a mapping with merge_method and models, slices or modules, the text is empty")
    for parsed in found:
        _check_mapping(parsed.data, where)
    texts = [_with_includes(_text(parsed, _named(parsed.data, where, len(found))), where, folder, _trail, [0]) for parsed in found]
    documents = [
        validated(text.data, where=_named(text.data, where, len(found)), spots=text.spots) for text in _with_sets(texts, sets, where)
    ]
    return _ordered(documents, where)


class _Text(NamedTuple):
    """A recipe as plain data, and where each of its values stands."""

    data: dict[str, Any]
    spots: Mapping[tuple[Any, ...], str]


def _text(parsed: Parsed, where: str) -> _Text:
    return _Text(parsed.data, {path: f"{where}: line {line}" for path, line in parsed.lines.items()})


def _named(data: Mapping[str, Any], where: str, count: int) -> str:
    """The file, and in one of several documents the document."""
    name = data.get("name")
    return f"{where} ({name})" if count > 1 and isinstance(name, str) else where


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe; check the path") from None
    except IsADirectoryError:
        raise RecipeError(f"{path}: expected a recipe file, got a folder") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None


def _identity(path: Path) -> str:
    return str(path.resolve())


def _check_mapping(data: Any, where: str) -> None:
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else f"{data!r:.40}"
        raise RecipeError(f"{where}: expected a mapping with merge_method and models, slices or modules, got {kind}")


def _with_includes(text: _Text, where: str, folder: Path, trail: tuple[str, ...], read: list[int], beside: str = "") -> _Text:
    """The text over everything that its `include` names.

    read: how many files so far, shared along the way. beside: the folder as the first file would name it, for messages.
    """
    data = text.data
    if "include" not in data:
        return text
    words = data["include"] if isinstance(data["include"], list) else [data["include"]]
    under = _Text({}, {})
    for word in words:
        if not isinstance(word, str) or not word:
            raise RecipeError(f"{where}: include: expected the path of a recipe, got {word!r:.40}")
        path = folder / word
        if _identity(path) in trail:
            raise RecipeError(f"{where}: include: '{word}' includes itself; remove one of the includes")
        read[0] += 1
        if read[0] > MOST_INCLUDES:
            raise RecipeError(f"{where}: include: expected at most {MOST_INCLUDES} included files")
        if not path.is_file():
            raise RecipeError(f"{where}: include: no such recipe '{word}', looked in {folder}")
        name = posixpath.normpath(posixpath.join(beside, word))
        parts = read_yaml(_read(path), name)
        if len(parts) != 1:
            raise RecipeError(f"{where}: include: expected one document in '{word}', got {len(parts)}")
        _check_mapping(parts[0].data, name)
        trail_there = (*trail, _identity(path))
        under = _over(under, _with_includes(_text(parts[0], name), name, path.parent, trail_there, read, posixpath.dirname(name)))
    own = {key: value for key, value in data.items() if key != "include"}
    return _over(under, _Text(own, text.spots))


def _over(under: _Text, text: _Text) -> _Text:
    """One text over another: what it replaces is gone with all that stood in it."""
    kept = {path: spot for path, spot in under.spots.items() if not _is_replaced(path, under.data, text.data)}
    return _Text(_merged(under.data, text.data), {**kept, **text.spots})


def _is_replaced(path: tuple[Any, ...], under: Any, over: Any) -> bool:
    for step in path:
        if not isinstance(over, dict) or step not in over:
            return not isinstance(over, dict)
        under, over = under[step], over[step]
        if not isinstance(under, dict):
            return True
    return True


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged key by key; anything else is replaced."""
    result = dict(under)
    for key, value in over.items():
        both = isinstance(result.get(key), dict) and isinstance(value, dict)
        result[key] = _merged(result[key], value) if both else value
    return result


def _with_sets(texts: list[_Text], sets: Sequence[str], where: str) -> list[_Text]:
    """In a file of several documents a path begins with the document's name, or means the one without a name."""
    names = [text.data.get("name") for text in texts]
    for assignment in sets:
        path, value = split_assignment(assignment)
        if len(texts) == 1:
            index = 0
        elif path[0] in names and len(path) > 1:
            index, path = names.index(path[0]), path[1:]
        elif None in names:
            index = names.index(None)
        else:
            known = ", ".join(map(str, names))
            raise RecipeError(f"--set {assignment}: {where} holds several documents; begin the path with a name, one of {known}")
        if path[0] == "include":
            raise RecipeError(f"--set {assignment}: files are included before values are set; write include into the recipe")
        old = texts[index]
        spots = {spot: place for spot, place in old.spots.items() if spot[: len(path)] != path}
        new = _Text(with_value(old.data, path, value), {**spots, path: f"--set {assignment}"})
        texts = [*texts[:index], new, *texts[index + 1 :]]
    return texts


def _ordered(documents: list[Document], where: str) -> tuple[Document, ...]:
    """Every document after those that it uses, otherwise in the order of the file; the one whose result is kept last.

    That is the one without a name; where all have one, the only one that no other uses, or of several such the last of the file.
    """
    names = [document.name for document in documents]
    if names.count(None) > 1 and len(documents) > 1:
        raise RecipeError(f"{where}: expected a name in every document but one, {names.count(None)} have none; add 'name: ...'")
    twice = [name for name in names if name is not None and names.count(name) > 1]
    if twice:
        raise RecipeError(f"{where}: two documents have the name '{twice[0]}'; rename one")
    by_name = {document.name: document for document in documents}
    for document in documents:
        labels = [reference.label for reference in document.references]
        if (settings := document.tokenizer_settings) is not None:
            labels += [*({settings.source} - {"union", "base"}), *(row.model for row in settings.tokens.values() if row.model is not None)]
        own = {plain_name(label) for label in labels}
        document._needs = tuple(name for name in names if name is not None and name in own)
    ordered: list[Document] = []

    def place(document: Document, trail: tuple[str | None, ...]) -> None:
        if document.name in trail and document.name is not None:
            raise RecipeError(f"{where}: the documents {' -> '.join(map(str, (*trail, document.name)))} use each other in a circle")
        if any(document is done for done in ordered):
            return
        for name in document.needs:
            place(by_name[name], (*trail, document.name))
        ordered.append(document)

    for document in documents:
        place(document, ())
    used = {name for document in documents for name in document.needs}
    ends = [document for document in documents if document.name not in used]
    if len(ends) > 1 and ends[-1] is not documents[-1] and None not in names:
        shown = " and ".join(f"'{document.name}'" for document in ends)
        raise RecipeError(f"{where}: the results of {shown} are used by no other document; take the name from the one that is wanted")
    final = next((document for document in documents if document.name is None), ends[-1])
    return (*(document for document in ordered if document is not final), final)
