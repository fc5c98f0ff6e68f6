"""`modelweave blend`: an ensemble from a folder of predictions."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from ..errors import OutputError, ParameterError
from .options import Json
from .printing import say, show_json, show_table, warn


def blend(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="One CSV or Parquet file a member.", show_default=False)],
    targets: Annotated[
        Path, typer.Option("--targets", metavar="FILE", help="key,target and, if there are, group and time.", show_default=False)
    ],
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="NAME", help="What counts.", show_default="log_loss for classes, rmse for numbers")
    ] = None,
    method: Annotated[str, typer.Option("--method", metavar="NAME", help="How weights are found; `auto` tries several.")] = "greedy",
    preset: Annotated[str | None, typer.Option("--preset", metavar="NAME", help="autogluon or auto_sklearn.", show_default=False)] = None,
    provenance: Annotated[
        str, typer.Option("--provenance", metavar="WORD", help="out_of_fold or hold_out: how the predictions were made.")
    ] = "out_of_fold",
    calibration: Annotated[
        str, typer.Option("--calibration", metavar="WHICH", help="Temperatures for members, the blend, both or none.")
    ] = "none",
    segments: Annotated[
        str | None, typer.Option("--segments", metavar="COLUMN", help="Column of the targets, for per_group.", show_default=False)
    ] = None,
    folds: Annotated[int, typer.Option("--folds", metavar="N", help="Folds that the verdict leaves out in turn.")] = 5,
    costs: Annotated[
        list[str] | None,
        typer.Option("--cost", metavar="NAME=X", help="What a member costs; of every member, for a frontier.", show_default=False),
    ] = None,
    options: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the method, as in rounds=50.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of folds and of random methods.")] = 0,
    report: Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Write an HTML page.", show_default=False)] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the blend as JSON.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Make an ensemble from files of predictions, and judge it.

    It is compared with its best member and with the plain mean, on rows that it was not fitted on.

    Each file: the row's key first, then a column a class (the header is the label), or one column `prediction` (a number, or with two
    classes the probability of the second). Rows are matched by key. Weights are judged on rows left out of their fit; where
    they do not help, the better baseline is the result.

    \b
    Example:
      modelweave blend predictions/ --targets y.csv
      modelweave blend predictions/ --targets y.csv --method auto --report out.html --out blend.json
    """
    from ..outputs.predictions.blend import blend as make
    from ..outputs.predictions.files import read_members, read_targets
    from ..outputs.predictions.frontier import frontier
    from ..outputs.predictions.published import learner_of

    settings: dict[str, Any] = dict(_pairs("--set", options))
    if method != "auto":
        learner_of(method).settle(settings, preset)
    prices = {name: _number(name, text) for name, text in _pairs("--cost", costs)}
    for option, file in (("--report", report), ("--out", out)):
        if file is not None and not file.absolute().parent.is_dir():
            raise OutputError(f"{option}: the folder '{file.parent}' does not exist; make it first")
    truth = read_targets(targets)
    members = read_members(folder)
    if segments is not None and segments not in truth.columns:
        raise ParameterError(
            f"--segments: the targets have no column '{segments}'; they have {', '.join(truth.columns) or 'none but target'}"
        )
    found = make(
        members,
        truth.values,
        method=method,
        metric=metric,
        preset=preset,
        provenance=provenance,
        calibration=calibration,
        groups=truth.columns.get("group"),
        time=truth.columns.get("time"),
        segments=None if segments is None else truth.columns[segments],
        folds=folds,
        seed=seed,
        **settings,
    )
    points = frontier(found, prices, seed=seed) if prices else []
    if out is not None:
        found.save(out)
    if report is not None:
        from ..outputs.predictions.report import write_report

        write_report(found, report, title=f"Blend of {folder.name}", points=points)
    if json:
        return show_json({**found.to_dict(), "frontier": [vars(point) for point in points]})
    _show(found, points)
    for note in (*truth.notes, *found.notes):
        warn(note)
    for file in (out, report):
        if file is not None:
            say(f"written: {file}")


def _show(found: Any, points: Any) -> None:
    from ..text.words import number

    told = found.explain()
    rows = [
        (story.name, _mean(found.weights[story.name]), number(story.alone), number(story.loss_without), number(story.shapley))
        for story in told.members
    ]
    scalar = all(isinstance(weight, (int, float)) for weight in found.weights.values())
    show_table(("member", "weight" if scalar else "mean weight", f"{found.metric} alone", "loss without +", "Shapley"), rows)
    say()
    if found.verdict.lines:
        show_table(("on rows left out", f"{found.metric}"), [(line.name, number(line.score)) for line in found.verdict.lines])
        say()
    say(found.verdict.sentence)
    if points:
        say()
        lines = [(", ".join(point.members), number(point.cost), number(point.score)) for point in points]
        show_table(("members", "cost", f"{found.metric}"), lines, title="what cost buys, on rows kept apart")


def _mean(weight: Any) -> str:
    """Over classes, where a member has a weight for each."""
    return f"{weight if isinstance(weight, (int, float)) else fmean(weight):.3f}"


def _pairs(option: str, given: list[str] | None) -> list[tuple[str, str]]:
    found = []
    for text in given or []:
        name, mark, value = text.partition("=")
        if not (name and mark and value):
            raise ParameterError(f"{option}: expected NAME=VALUE, got {text!r:.60}")
        found.append((name, value))
    return found


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ParameterError(f"--cost: expected a number for '{name}', got {text!r:.60}") from None
