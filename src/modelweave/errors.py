"""Every error that modelweave raises on purpose, in one tree.

    ModelweaveError            anything below; the command line prints it as one sentence and exits with 2
    ├── RecipeError            the recipe's text, keys or values
    ├── ParameterError         an option: unknown, missing or out of range
    ├── InputError             the user's data, such as a CSV file, a table or an array: missing, damaged or not what it should be
    ├── CheckpointError        a model that is missing, damaged or not what it says
    │   ├── UnsafeFileError    a file that would run code or reach outside its folder
    │   └── NonFiniteError     a tensor that holds NaN or infinity
    ├── CompatibilityError     inputs that do not fit each other or the method
    ├── OutputError            a target that cannot be written: it exists, is locked, has no room
    └── MissingExtraError      an optional dependency that is not installed

Wrong options and data are ValueErrors, too, as scikit-learn and its users expect.
From Python, what a user should know without being stopped by it is a ModelweaveWarning.
A message says where, what was expected, what was found and what to do, in one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
_QUOTE = r"'(?=\w)"
"""One that is part of an address, not the end of what a sentence quotes."""
_NEXT = rf"(?!\+{_SCHEME})"
_USER = re.compile(rf"({_SCHEME})(?:{_NEXT}[^\s/?#'\"]|{_QUOTE})*@")
_QUERY = re.compile(rf"({_SCHEME}(?:{_NEXT}[^\s?#'\"]|{_QUOTE})*)[?#](?:{_NEXT}[^\s'\"]|{_QUOTE})*")
_ONE_ADDRESS = re.compile(rf"({_SCHEME})(?:[^\s/?#]*@)?([^\s?#]*)(?:[?#]\S*)?")


class ModelweaveError(Exception):
    """Base of every deliberate error."""

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        super().__init__(without_secrets(message))


class RecipeError(ModelweaveError):
    """The recipe's text, keys or values."""


class ParameterError(ModelweaveError, ValueError):
    """An option: unknown, missing or out of range."""


class InputError(ModelweaveError, ValueError):
    """The user's data, such as a CSV file, a table or an array: missing, damaged or not what it should be."""


class CheckpointError(ModelweaveError):
    """A model that is missing, damaged or not what it says."""


class UnsafeFileError(CheckpointError):
    """A file that would run code or reach outside its folder."""


class NonFiniteError(CheckpointError):
    """A tensor that holds NaN or infinity."""


class CompatibilityError(ModelweaveError, ValueError):
    """Inputs that do not fit each other or the method."""


class OutputError(ModelweaveError):
    """A target that cannot be written: it exists, is locked, has no room."""


class MissingExtraError(ModelweaveError):
    """An optional dependency that is not installed."""

    def __init__(self, package: str, extra: str = "", *, command: str = "") -> None:
        """command: for packages that no extra of modelweave holds."""
        super().__init__(f"this needs '{package}', which is not installed; run: " + (command or f"pip install 'modelweave[{extra}]'"))


class ModelweaveWarning(UserWarning):
    """What a user should know of a result; the command line prints it beside."""


def printable(text: str) -> str:
    """The text of strangers as a terminal may show it: on one line, without secrets, and nothing that it would act on.

    >>> printable("a\\nb")
    'a?b'
    """
    return "".join(c if c.isprintable() else "?" for c in without_secrets(text))


def without_secrets(text: str) -> str:
    """A text whose addresses have lost user, password, query and fragment.

    >>> without_secrets("https://me:secret@host/model?X-Amz-Signature=1")
    'https://host/model'
    >>> without_secrets("model 's3://key:secret@bucket/a': no such file")
    "model 's3://bucket/a': no such file"
    """
    if "://" not in text:
        return text
    parts = re.split(rf"\+(?={_SCHEME})", text)
    whole = [_ONE_ADDRESS.fullmatch(part) for part in parts]
    if all(whole):  # what is nothing but addresses may hold quotes, too
        text = "+".join(found[1] + found[2] for found in whole if found)
    return _QUERY.sub(r"\1", _USER.sub(r"\1", text))


def unknown(kind: str, word: object, known: Iterable[str]) -> str:
    """The sentence for a word that is not among the known ones.

    >>> unknown("method", "tise", ["linear", "ties"])
    "unknown method 'tise'; did you mean 'ties'? known: linear, ties"
    """
    names = sorted(known)
    close = get_close_matches(str(word), names, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ";"
    return f"unknown {kind} '{word}'{hint} known: {', '.join(names)}"
