"""`modelweave reproduce`: run a paper's experiment and say whether its claim holds."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from ..errors import OutputError, ParameterError
from .printing import say, strict


def reproduce(
    number: Annotated[int | None, typer.Argument(metavar="NN", help="Number of the paper.", show_default=False)] = None,
    seeds: Annotated[str, typer.Option("--seeds", metavar="LIST", help="Seeds to run.")] = "0,1,2",
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers as JSON.", show_default=False)] = None,
    figure: Annotated[Path | None, typer.Option("--figure", metavar="FILE", help="Draw the result.", show_default=False)] = None,
    page: Annotated[Path | None, typer.Option("--page", metavar="FILE", help="Write the page of evidence.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="Every experiment there is.")] = False,
) -> None:
    """Run the experiment of paper NN: its claim, the baselines, and a control that must fail.

    Exits with 0 when the claim holds at this size and its control fails, with 1 when not.

    \b
    Example:
      modelweave reproduce 29 --seeds 0,1,2 --json ties.json
    """
    chosen = parse_seeds(seeds)
    if every == (number is not None):
        raise ParameterError("reproduce: expected the number of a paper or --all, got " + ("both" if every else "neither"))
    if every and figure is not None:
        raise ParameterError("--figure: draws one experiment, not all; give the number of a paper")
    from ..papers.harness import reproduce as run

    results = [run(one, chosen) for one in (_numbers() if number is None else [number])]
    for place, result in enumerate(results):
        say(("\n" if place else "") + result.table())
    if json is not None:
        values = [result.to_json() for result in results]
        _write(json, json_module.dumps(strict(values if every else values[0]), indent=2) + "\n")
    if page is not None:
        from ..papers.evidence import evidence_page

        _write(page, evidence_page(results))
    if figure is not None:
        results[0].figure(figure)
    raise typer.Exit(0 if all(result.holds for result in results) else 1)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Whole numbers from 0 on, each once.

    >>> parse_seeds("0, 1,7")
    (0, 1, 7)
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() for word in words) or len(set(map(int, words))) < len(words):
        raise ParameterError(f"--seeds: expected different whole numbers with commas between, as in 0,1,2, got {text!r:.60}")
    return tuple(map(int, words))


def _numbers() -> list[int]:
    """The papers that have an experiment."""
    from ..papers.index import PAPERS

    return [paper.number for paper in PAPERS.values() if paper.experiment]


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{file}: cannot be written: {error.strerror}") from None
