"""One HTML page about a blend that opens from disk: no script, no network, pictures inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...drawing import png
from ...errors import CompatibilityError
from ...files import write_text
from ...text.page import bullets, heading, html_page, paragraph, picture
from ...text.tables import as_html
from ...text.words import counted, number, percent
from .blended import Blend
from .explain import Explanation
from .figures.calibration_figure import calibration_figure
from .figures.correlation_figure import correlation_figure
from .figures.trajectory_figure import trajectory_figure
from .frontier import FrontierPoint

CURVES = 6
WINS = "closest to the truth, % of rows (ties count for each)"


def html_report(blend: Blend, *, title: str = "Blend", points: Sequence[FrontierPoint] = ()) -> str:
    """One HTML page about a blend that opens from disk: verdict, members, pictures, what cost buys, notes. Needs matplotlib.

    Args:
        blend: as `modelweave.blend` gives it, with its rows.
        title: of the page.
        points: of a cost frontier.

    Raises:
        CompatibilityError: for a loaded blend, which does not hold its rows.
    """
    if blend.seen is None:
        raise CompatibilityError("report: a loaded blend does not hold the rows it was made from; make it again with blend()")
    told = blend.explain()
    parts = [
        _verdict(blend),
        _members(blend, told),
        _pictures(blend, told),
        _frontier(points, blend.metric),
        _notes(blend),
        _about(blend, told),
    ]
    return html_page(title, parts)


def write_report(blend: Blend, file: str | Path, *, title: str = "Blend", points: Sequence[FrontierPoint] = ()) -> None:
    """Write `html_report`, whole or not at all.

    Args:
        blend: as `modelweave.blend` gives it, with its rows.
        file: where the page goes.
        title: of the page.
        points: of a cost frontier.

    Raises:
        CompatibilityError: for a loaded blend, which does not hold its rows.
        OutputError: where the file cannot be written.
    """
    write_text(file, html_report(blend, title=title, points=points))


def _verdict(blend: Blend) -> str:
    verdict = blend.verdict
    rows = [
        (line.name, number(line.score), "" if line.gain is None else number(line.gain), _interval(line.interval)) for line in verdict.lines
    ]
    page = paragraph(verdict.sentence, kind="yes" if verdict.beats else "no")
    if rows:
        page += as_html(("on rows left out", blend.metric, f"{verdict.method} is better by", "95 % interval"), rows)
    if verdict.optimism is not None:
        better, size = "better" if verdict.optimism >= 0 else "worse", number(abs(verdict.optimism))
        page += paragraph(f"In-sample it looks {size} {better} than on unseen rows.", kind="small")
    return page


def _members(blend: Blend, told: Explanation) -> str:
    weights = blend.weights
    rows = [
        (
            story.name,
            _weight(weights[story.name]),
            number(story.alone),
            number(story.loss_without),
            number(story.shapley),
            percent(story.wins),
            "" if story.calibration_error is None else number(story.calibration_error),
        )
        for story in told.members
    ]
    head = ("member", "weight", f"{blend.metric} alone", "loss without it, +", "Shapley value", WINS, "calibration error")
    return heading("Members") + as_html(head, rows) + _by_class(blend)


def _by_class(blend: Blend) -> str:
    """A weight a class, where a member has more than one."""
    weights = {name: np.asarray(value) for name, value in blend.weights.items()}
    if not any(value.ndim for value in weights.values()):
        return ""
    size = max(value.size for value in weights.values())
    labels = blend.labels if blend.labels and len(blend.labels) == size else range(size)
    rows = [(name, *map(number, np.broadcast_to(value, size).tolist())) for name, value in weights.items()]
    return paragraph("The weight above is the mean of these:") + as_html(("member", *map(str, labels)), rows)


def _pictures(blend: Blend, told: Explanation) -> str:
    assert blend.seen is not None
    pool, y, _ = blend.seen
    found = [("Correlation of the members' errors", correlation_figure(pool.names, told.correlation))]
    if len(blend.trajectory) > 1 and blend.method == "greedy":
        found.insert(0, ("Rounds of selection", trajectory_figure(blend.trajectory, blend.metric)))
    if pool.classes:
        rows = np.flatnonzero(pool.complete)
        first = sorted(range(len(pool.names)), key=lambda i: -float(np.mean(blend.weights[pool.names[i]])))[:CURVES]
        curves = {pool.names[i]: pool.values[i][rows] for i in first}
        own = blend.rule([pool.values[i][rows] for i in blend.used]) if blend.method != "per_group" else None
        found.append(("Calibration", calibration_figure({**curves, **({} if own is None else {"blend": own})}, y[rows])))
    return heading("Pictures") + "".join(picture(name, png(figure)) for name, figure in found)


def _frontier(points: Sequence[FrontierPoint], metric: str) -> str:
    if not points:
        return ""
    rows = [(", ".join(f"{n} {w:.2f}" for n, w in p.members.items()), number(p.cost), number(p.score)) for p in points]
    return heading("What cost buys") + as_html(("members", "cost", f"{metric} on rows kept apart"), rows)


def _notes(blend: Blend) -> str:
    return heading("Notes") + bullets(blend.notes) if blend.notes else ""


def _about(blend: Blend, told: Explanation) -> str:
    facts = [
        f"{counted(blend.rows, 'row')}, {counted(len(blend.names), 'member')}, {blend.task}, method {blend.method}, metric {blend.metric}.",
        f"Mean loss of the members by weight {number(told.mean_member_loss)}, of the blend {number(told.blend_loss)}; "
        f"their difference {number(told.diversity)} is what diversity is worth.",
    ]
    if told.disagreement is not None and told.knowledge is not None:
        facts.append(f"Two members call {told.disagreement:.1%} of rows differently; mutual information {told.knowledge:.4f} nats.")
    facts.append("Predictions were " + ", ".join(sorted({word.replace("_", "-") for word in blend.provenance.values()})) + ".")
    return heading("About") + paragraph(*facts)


def _weight(value: Any) -> str:
    return number(float(np.mean(value)))


def _interval(value: tuple[float, float] | None) -> str:
    return "" if value is None else f"{number(value[0])} to {number(value[1])}"
