"""`modelweave advise`: what to try first with several fine-tunes of one base."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..errors import OutputError
from ..files import write_text
from .options import Json
from .printing import progress_bar, say, show_json, show_table, warn


def advise(
    base: Annotated[str, typer.Argument(metavar="BASE", help="The model that all others were fine-tuned from.", show_default=False)],
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Its fine-tunes.", show_default=False)],
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Write the recipe of the first choice.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Say from weights alone which methods to try first.

    Also which would change nothing, and what usually goes wrong.

    The order comes from a table that was fitted on small suites; the documentation says how often its first choice was
    within one point of the best elsewhere. No data is looked at: compare the result with the members on yours.

    \b
    Example:
      modelweave advise pretrained tuned-on-code tuned-on-law --write recipe.yml
      modelweave plan recipe.yml
    """
    from ..analysis.interference import as_dict
    from ..evaluation.advice import advise as advice_for

    with progress_bar("comparing") as progress:
        found = advice_for(base, models, progress=progress)
    if write is not None:
        if write.exists():
            raise OutputError(f"--write: '{write}' already exists; choose another name or remove it")
        write_text(write, found.recipe)
    if json:
        plain = {name: getattr(found, name) for name in ("because", "warnings", "useless", "impossible", "conditional", "recipe")}
        choices = [{"method": c.method, "options": dict(c.options), "reason": c.reason} for c in found.ranking]
        return show_json({"ranking": choices, "facts": asdict(found.facts), **plain, "interference": as_dict(found.interference)})
    say(found.because)
    say()
    rows = [
        (str(i), c.method, ", ".join(f"{k} {v}" for k, v in c.options.items()) or "-", c.reason) for i, c in enumerate(found.ranking, 1)
    ]
    show_table(("try", "method", "with", "because it"), rows)
    for title, reasons in (("would change nothing", found.useless), ("do not apply", found.impossible)):
        if reasons:
            say()
            grouped: dict[str, list[str]] = {}
            for method, reason in reasons.items():
                grouped.setdefault(reason, []).append(method)
            show_table(("methods", "reason"), [(", ".join(names), reason) for reason, names in grouped.items()], title=title)
    for method, condition in found.conditional.items():
        say(f"\n{method}: {condition}")
    say(f"\nA recipe to start from:\n\n{found.recipe}" if write is None else f"\nwritten: {write}")
    for warning in found.warnings:
        warn(warning)
