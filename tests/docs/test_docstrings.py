"""Public docstrings tell of every parameter or field once, of no other, and of errors that exist."""

from __future__ import annotations

import builtins
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

import modelweave
from modelweave import errors

SPACES = [modelweave, *(space for name in modelweave.__all__ if isinstance(space := getattr(modelweave, name), ModuleType))]
SPACES.remove(import_module("modelweave.catalog"))
ENTRY = re.compile(r"(\*{0,2}\w+)(?: \([^)]*\))?: ")


def public() -> Iterator[tuple[str, Any]]:
    """Every public function and class but the errors, with its name."""
    for space in SPACES:
        for name in space.__all__:
            value = getattr(space, name)
            if inspect.isroutine(value) or (isinstance(value, type) and not issubclass(value, Exception)):
                yield f"{space.__name__}.{name}", value


def methods() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Their public methods that are written here and take more than one argument."""
    for name, value in public():
        for method, made in inspect.getmembers(value, inspect.isroutine) if isinstance(value, type) else ():
            own = (getattr(made, "__module__", None) or "").partition(".")[0] == "modelweave"
            if own and not method.startswith("_") and len(parameters(made)) > 1:
                yield f"{name}.{method}", made


def fields(value: Any) -> list[str]:
    """Those that a dataclass or named tuple is made with; none of anything else."""
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value) if field.init and not field.name.startswith("_")]
    return list(getattr(value, "_fields", ()))


def parameters(value: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(value).parameters if name != "self" and not name.startswith("_")]


def section(value: Any, heading: str) -> list[str]:
    """The names that a section of a docstring has entries for, one a line."""
    found = re.search(rf"^{heading}:\n((?:    .*\n|\n)+)", (inspect.getdoc(value) or "") + "\n", re.MULTILINE)
    lines = [line for line in (found[1].splitlines() if found else []) if line[4:5].strip()]
    entries = [ENTRY.match(line[4:]) for line in lines]
    assert all(entries), f"{heading}: each entry is 'name: what it is', got {lines}"
    return [entry[1].lstrip("*") for entry in entries if entry]


DOCUMENTED = dict([*public(), *methods()])


@pytest.mark.parametrize("name", DOCUMENTED)
def test_each_parameter_or_field_has_one_entry(name: str) -> None:
    value = DOCUMENTED[name]
    args, attributes = section(value, "Args"), section(value, "Attributes")
    told = [*args, *attributes]
    assert len(set(told)) == len(told)
    if not fields(value):
        # attributes are what an object keeps beside its parameters
        assert sorted(args) == sorted(parameters(value))
        return
    bases = [base for base in value.__mro__[1:] if fields(base)]
    told_there = {entry for base in bases for heading in ("Args", "Attributes") for entry in section(base, heading)}
    assert set(told) <= set(fields(value))
    assert set(fields(value)) <= {*told, *told_there}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_each_error_exists(name: str) -> None:
    for entry in section(DOCUMENTED[name], "Raises"):
        found = getattr(errors, entry, getattr(builtins, entry, None))
        assert isinstance(found, type) and issubclass(found, BaseException), entry


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_first_line_is_a_sentence(name: str) -> None:
    assert (inspect.getdoc(DOCUMENTED[name]) or "").partition("\n")[0].endswith(".")


def test_a_section_is_read_entry_by_entry() -> None:
    def documented() -> None:
        """A line.

        Args:
            first: of two,
                over two lines.
            **second: all else.

        Raises:
            ParameterError: never.
        """

    assert section(documented, "Args") == ["first", "second"]
    assert section(documented, "Raises") == ["ParameterError"]
    assert section(documented, "Attributes") == []
    documented.__doc__ = "A line.\n\nArgs:\n    first, second: together.\n"
    with pytest.raises(AssertionError, match="each entry is"):
        section(documented, "Args")
