"""One HTML page about a blend that opens from disk: no script, no network, pictures inside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ...drawing import png
from ...errors import CompatibilityError
from ...files import write_text
from .blended import Blend
from .explain import Explanation
from .figures.calibration_figure import calibration_figure
from .figures.correlation_figure import correlation_figure
from .figures.trajectory_figure import trajectory_figure
from .frontier import FrontierPoint

CURVES = 6
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; } img { max-width: 100%; } .verdict { padding: .8rem 1rem; border-left: 5px solid; }
.yes { border-color: #2a7; background: #f0faf5; } .no { border-color: #c83; background: #fdf6ee; } small { color: #666; }
"""


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
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head>\n'
        f"<body><h1>{escape(title)}</h1>\n" + "\n".join(part for part in parts if part) + "\n</body></html>\n"
    )


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
    kind = "yes" if verdict.beats else "no"
    page = f'<p class="verdict {kind}">{escape(verdict.sentence)}</p>\n'
    if rows:
        page += _table(("on rows left out", blend.metric, f"{verdict.method} is better by", "95 % interval"), rows)
    if verdict.optimism is not None:
        page += f"<p><small>On the rows it was fitted on it looks better by {number(verdict.optimism)}.</small></p>"
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
            f"{story.wins:.0%}",
            "" if story.calibration_error is None else number(story.calibration_error),
        )
        for story in told.members
    ]
    head = ("member", "weight", f"{blend.metric} alone", "loss grows without it by", "Shapley value", "closest in", "calibration error")
    return "<h2>Members</h2>\n" + _table(head, rows)


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
    images = (
        f'<figure><img alt="{escape(name)}" src="data:image/png;base64,{base64.b64encode(png(figure)).decode()}"></figure>'
        for name, figure in found
    )
    return "<h2>Pictures</h2>\n" + "\n".join(images)


def _frontier(points: Sequence[FrontierPoint], metric: str) -> str:
    if not points:
        return ""
    rows = [(", ".join(f"{n} {w:.2f}" for n, w in p.members.items()), number(p.cost), number(p.score)) for p in points]
    return "<h2>What cost buys</h2>\n" + _table(("members", "cost", f"{metric} on rows kept apart"), rows)


def _notes(blend: Blend) -> str:
    return "<h2>Notes</h2>\n<ul>" + "".join(f"<li>{escape(note)}</li>" for note in blend.notes) + "</ul>" if blend.notes else ""


def _about(blend: Blend, told: Explanation) -> str:
    facts = [
        f"{blend.rows:,} rows, {len(blend.names)} members, {blend.task}, method {blend.method}, metric {blend.metric}.",
        f"Mean loss of the members by weight {number(told.mean_member_loss)}, of the blend {number(told.blend_loss)}; "
        f"their difference {number(told.diversity)} is what diversity is worth.",
    ]
    if told.disagreement is not None and told.knowledge is not None:
        facts.append(f"Two members call {told.disagreement:.1%} of rows differently; mutual information {told.knowledge:.4f} nats.")
    facts.append("Predictions were " + ", ".join(sorted({word.replace("_", "-") for word in blend.provenance.values()})) + ".")
    return "<h2>About</h2>\n<p>" + "<br>".join(map(escape, facts)) + "</p>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return f"<table><thead><tr>{top}</tr></thead><tbody>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</tbody></table>"


def number(value: float) -> str:
    """Four digits."""
    return "-" if value != value else f"{value:.4g}"


def _weight(value: Any) -> str:
    return number(float(value)) if np.ndim(value) == 0 else " ".join(f"{v:.2f}" for v in value[:8]) + (" ..." if len(value) > 8 else "")


def _interval(value: tuple[float, float] | None) -> str:
    return "" if value is None else f"{number(value[0])} to {number(value[1])}"
