"""`modelweave schema`: the recipe's JSON schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import OutputError
from .printing import say, show_json


def schema(
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it there instead of printing it.", show_default=False)
    ] = None,
) -> None:
    """Print the JSON schema of recipes, for editors.

    \b
    Example:
      modelweave schema --out recipe.schema.json
    """
    from ..recipes.language.schema import recipe_schema

    if out is None:
        return show_json(recipe_schema())
    try:
        out.write_text(json.dumps(recipe_schema(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror}") from None
    say(str(out))
