"""The tree that the docstring draws is the one that the classes form."""

from __future__ import annotations

import inspect

from modelweave import errors
from modelweave.errors import CheckpointError, CompatibilityError, InputError, ModelweaveError, ParameterError, RecipeError

CLASSES = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, ModelweaveError)}


def test_the_docstring_draws_every_error_under_its_parent() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        word = line.lstrip(" │├└─").partition(" ")[0]
        if word in CLASSES:
            depth = (len(line) - len(line.lstrip(" │├└─"))) // 4 - 1
            above[depth:] = [word]
            drawn[word] = above[depth - 1] if depth else "Exception"
    assert drawn == {name: kind.__bases__[0].__name__ for name, kind in CLASSES.items()}


def test_what_is_a_value_error() -> None:
    assert {kind for kind in CLASSES.values() if issubclass(kind, ValueError)} == {ParameterError, InputError, CompatibilityError}
    assert not issubclass(ParameterError, RecipeError) and not issubclass(InputError, CheckpointError)
