"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Recipe = Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe file (YAML).", show_default=False)]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a value of the recipe, as in parameters.density=0.3; may be repeated.",
        show_default=False,
    ),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of random methods; the recipe's by default.", show_default=False)]
Memory = Annotated[str, typer.Option("--memory", metavar="SIZE", help="Limit on buffers; one whole matrix may need more.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
