"""`modelweave schema`: the recipe's JSON schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..files import write_json
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
    write_json(out, recipe_schema())
    say(str(out))
