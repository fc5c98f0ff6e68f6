"""`modelweave methods`: the catalog, and one method with an example to start from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..text.tables import as_lines
from .options import Json
from .printing import say, show_json, show_table

if TYPE_CHECKING:
    from ..row import Row


def methods(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One method, in full.", show_default=False)] = None,
    level: Annotated[
        str | None, typer.Option("--level", metavar="LEVEL", help="Only methods of this level, as in weights.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """List the methods, or describe one in full.

    Those that merge weights, the steps that may follow, and those that blend predictions.

    \b
    Example:
      modelweave methods ties
      modelweave methods --level predictions
    """
    from ..catalog import LEVELS, named, rows
    from ..describe import as_dict

    if name is not None:
        # as people write them: TIES, DARE-TIES
        found, *others = named(name.lower().replace("-", "_"), level)
        if json:
            return show_json(as_dict(found))
        _show(found)
        for row in others:
            say(f"\nThere is another '{row.name}' ({row.title}): modelweave methods {row.name} --level {row.level}")
        return None
    chosen = rows(level)
    if json:
        return show_json([as_dict(row) for row in chosen])
    for key, family in LEVELS.items():
        members = [row for row in chosen if row.level == key]
        if members:
            _show_level(f"{key}: {family.title}", members)
            say()
    say("takes: models, beside a base where it says so; modelweave methods NAME shows one")
    say("with its formula, its parameters and an example to start from")


def _show_level(title: str, rows: list[Row]) -> None:
    """One line a method, in groups, none longer than 80 columns."""
    from ..describe import by_group

    groups = by_group(rows)
    ordered = [row for group in groups.values() for row in group]
    head, *lines = as_lines(
        ("method", "use it for", "takes", "paper"), [(row.name, row.purpose, row.takes, row.paper or "") for row in ordered]
    )
    say(f"{title}\n\n    {head}")
    for group, members in groups.items():
        say(f"  {group}")
        for line in lines[: len(members)]:
            say(f"    {line}")
        del lines[: len(members)]


def _show(row: Row) -> None:
    """Everything that the row says, and the example."""
    from ..describe import example, facts, parameter_table

    said = list(facts(row))
    width = max(len(heading) for heading, _ in said)
    say(f"{row.name}: {row.title}\n")
    for heading, text in said:
        say(f"{heading:{width}}  {text}")
    say()
    if row.parameters:
        show_table(*parameter_table(row))
        say()
    say(f"To start from:\n\n{example(row)}")
