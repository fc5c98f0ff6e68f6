"""`modelweave reproduce`: run a paper's experiment and say whether its claim holds, or the study of all methods."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import OutputError, ParameterError, unknown
from ..files import check_writable, write_json, write_text
from ..text.json_text import strict
from .printing import say, terminal_width


def reproduce(
    number: Annotated[str | None, typer.Argument(metavar="NN|study", help="Number of the paper, or study.", show_default=False)] = None,
    seeds: Annotated[str | None, typer.Option("--seeds", metavar="LIST", help="Seeds to run.", show_default="0,1,2; study: 3,4,5")] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers as JSON.", show_default=False)] = None,
    figure: Annotated[Path | None, typer.Option("--figure", metavar="FILE", help="Draw the result.", show_default=False)] = None,
    page: Annotated[Path | None, typer.Option("--page", metavar="FILE", help="Write the page of evidence.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="Every experiment there is.")] = False,
    suite: Annotated[str | None, typer.Option("--suite", metavar="NAME", help="study: one suite, not all.", show_default=False)] = None,
    methods: Annotated[str | None, typer.Option("--methods", metavar="LIST", help="study: these alone.", show_default=False)] = None,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="FOLDER", help="study: keeps results and fine-tuned models (2.3 GB).", show_default=False),
    ] = None,
) -> None:
    """Run the experiment of paper NN, and its control.

    The paper's claim, the baselines, and a control that must fail. Exits with 0 when the claim holds at this size and its
    control fails, with 1 when not.
    `study` runs every method that needs no data on the same suites; interrupted, it goes on where it was.

    \b
    Example:
      modelweave reproduce 29 --seeds 0,1,2 --json ties.json
      modelweave reproduce study --suite digits --page study.md
    """
    # `modelweave advise`, which the study measures, was made on the first three seeds of a suite
    chosen = parse_seeds(seeds if seeds is not None else "3,4,5" if number == "study" else "0,1,2")
    if every == (number is not None):
        raise ParameterError("reproduce: expected the number of a paper or --all, got " + ("both" if every else "neither"))
    for file in (json, None if number == "study" else page):  # a study makes the folder of its page
        if file is not None:
            check_writable(file)
    if number == "study":
        return _study(chosen, suite, methods, cache, json, figure, page)
    if suite or methods or cache:
        raise ParameterError("reproduce: --suite, --methods and --cache go with study")
    if every and figure is not None:
        raise ParameterError("--figure: draws one experiment, not all; give the number of a paper")
    from ..papers.harness.experiment import reproduce as run
    from ..papers.harness.table import result_text

    results = [run(one, chosen) for one in (_numbers() if number is None else [_number(number)])]
    for place, result in enumerate(results):
        say(("\n" if place else "") + result_text(result, terminal_width()))
    if json is not None:
        values = [result.to_json() for result in results]
        write_json(json, strict(values if every else values[0]))
    if page is not None:
        from ..papers.harness.page import evidence_page

        write_text(page, evidence_page(results))
    if figure is not None:
        from ..papers.harness.figure import draw_result

        draw_result(results[0], figure)
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


def _study(
    seeds: tuple[int, ...],
    suite: str | None,
    methods: str | None,
    cache: Path | None,
    json: Path | None,
    figure: Path | None,
    page: Path | None,
) -> None:
    from ..papers.study.page import draw_study, study_page, study_text
    from ..papers.study.run import run_study
    from ..papers.study.store import default_cache
    from ..papers.study.suites import SUITES

    if suite is not None and suite not in SUITES:
        raise ParameterError("--suite: " + unknown("suite", suite, SUITES))
    figures = [file for file in (figure, page and page.parent / "images" / "study.png") if file is not None]
    try:
        for file in figures:
            file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{file.parent}: cannot be made: {error.strerror}") from None
    settings = [setting for name, group in SUITES.items() if suite in (None, name) for setting in group]
    names = None if methods is None else [word.strip() for word in methods.split(",")]
    outcome = run_study(settings, cache=cache or default_cache(), seeds=seeds, methods=names, say=lambda line: typer.echo(line, err=True))
    say(study_text(outcome, terminal_width()))
    if json is not None:
        write_json(json, strict(list(outcome.rows)))
    if page is not None:
        words = ["modelweave reproduce study", *(f"--{word} {value}" for word, value in (("suite", suite), ("methods", methods)) if value)]
        write_text(page, study_page(outcome, command=" ".join([*words, f"--page {page.as_posix()}"])))
    for file in figures:
        draw_study(outcome, file)


def _number(word: str) -> int:
    if not (word.isascii() and word.isdigit()):
        raise ParameterError(f"reproduce: expected the number of a paper or study, got {word!r:.60}")
    return int(word)


def _numbers() -> list[int]:
    """The papers that have an experiment."""
    from ..papers.index import PAPERS

    return [paper.number for paper in PAPERS.values() if paper.module]
