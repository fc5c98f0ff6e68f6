"""The study as a page of Markdown and as a figure; every number on it comes from the rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean, median
from typing import Any

from ...drawing import new_figure, save_figure
from ...statistics.ranks import rank_correlation
from ...text.tables import as_lines, as_markdown
from .lines import POINT, Advised, Line, advised, behind, lines_of, refused
from .problem import Setting
from .run import BASE, ENSEMBLE, MEMBER, OWN, REFERENCE, SHARE, Outcome

_HEAD = """# Study: every data-free method on the same suites

`{command}` runs the study and writes this page; no figure on it was typed. It merges with each method of the
[catalog](methods.md) that needs nothing but weights, and says how the result does at the method's own scale (`default`) and at the
scale that is best on validation data (`tuned`), both on test data. merged = base + scale * direction, so a method that measures from
a base can be scaled whether it has such a parameter or not; the others have one result. Scales are searched around the method's own.

- All other parameters are the method's own, but for shares that would keep everything by default (`density` of ties, DARE and their kin,
  `select_topk` of sce): {share:g}. Required ones: `weight` 1, `t` 0.5.
- Figures are means over seeds ({seeds}); a suite that costs too much runs one alone and says so.
- The interval is of the tuned score minus that of tuned task arithmetic, 95 percent, by a paired bootstrap over test examples. It
  does not include variation between seeds.
- Seconds and memory are the merge's alone, on {processors} processors that may have had other work; memory is what the process held
  at its highest beyond what it held before.
- Baselines stand in italics: the base, the member with the best mean on validation, each task's own member on that task (what a merge
  would reach if members neither disturbed nor helped each other), and the mean of all members' outputs, which costs all their time.

![Default and tuned scores of every method](images/study.png)
"""
_COLOURS = {BASE: "0.4", MEMBER: "tab:red", OWN: "tab:green", ENSEMBLE: "tab:orange"}
_COLUMNS = ("method", "default", "tuned", "scale", "against task arithmetic", "seconds", "MB")


def study_page(outcome: Outcome, *, command: str = "modelweave reproduce study --page docs/study.md") -> str:
    """Markdown: a table and a reading for each setting, then what they say together."""
    seeds = ", ".join(map(str, outcome.seeds))
    parts = [_HEAD.format(command=command, share=SHARE, seeds=seeds, processors=os.cpu_count())]
    parts += [_section(outcome, setting) for setting in outcome.settings]
    if len(outcome.settings) > 1:
        parts.append(_together(outcome))
    advice = advised(outcome)
    if advice:
        parts.append(_advice(outcome, advice))
    return "\n".join(parts)


def study_text(outcome: Outcome, width: int | None = None) -> str:
    """The tables, within a terminal's width."""
    parts = []
    for setting in outcome.settings:
        lines = as_lines(_COLUMNS, map(_cells, lines_of(outcome, setting.key)), width=width)
        reasons = [f"{name} cannot run: {reason}" for name, reason in refused(outcome, setting.key).items()]
        parts.append("\n".join([setting.title, setting.unit, "", *lines, *([""] if reasons else []), *reasons]))
    return "\n\n".join(parts)


def _section(outcome: Outcome, setting: Setting) -> str:
    lines = lines_of(outcome, setting.key)
    alone = f" Seed {setting.seeds(outcome.seeds)[0]} alone." if setting.one_seed else ""
    parts = [f"## {setting.title}\n", f"{setting.words} Score: {setting.unit}.{alone}\n", reading(lines) + "\n"]
    parts.append(as_markdown(_COLUMNS, [_cells(line, "*") for line in lines]))
    reasons = refused(outcome, setting.key)
    if reasons:
        parts.append("Not here:\n\n" + "".join(f"- `{name}`: {reason}\n" for name, reason in reasons.items()))
    return "\n".join(parts)


def reading(lines: Sequence[Line]) -> str:
    """What a table says, from its figures: who leads, who is close, what tuning is worth, and where the baselines are."""
    named = {line.name: line for line in lines}
    methods = [line for line in lines if not line.baseline]
    if not methods:
        return "No method ran."
    best = methods[0]
    close = [line.name for line in methods[1:] if best.tuned - line.tuned <= POINT]
    words = [f"Tuned, {best.name} is best with {best.tuned:.1f}; within one point of it: {', '.join(close) or 'none'}."]
    if REFERENCE in named and len(methods) > 1:
        apart = [line.interval for line in methods if line.interval is not None]
        above, below = sum(low > 0 for low, _ in apart), sum(high < 0 for _, high in apart)
        words.append(
            f"Against tuned task arithmetic ({named[REFERENCE].tuned:.1f}), the intervals of {above} of {len(apart)} others lie above 0 "
            f"and those of {below} below."
        )
    words.append(_worth_of_tuning(methods))
    if BASE in named:
        worse = [line.name for line in methods if line.tuned < named[BASE].tuned]
        words.append(
            f"The base alone has {named[BASE].tuned:.1f}; below it even when tuned: {', '.join(worse) or 'none'}. "
            f"The best member alone has {named[MEMBER].tuned:.1f}, each task's own member {named[OWN].tuned:.1f}, "
            f"the mean of outputs {named[ENSEMBLE].tuned:.1f}."
        )
    return "\n".join(words)


def _worth_of_tuning(methods: Sequence[Line]) -> str:
    scaled = [line for line in methods if line.scales]
    if not scaled:
        return "None of these has a scale to tune."
    gains = sorted(scaled, key=lambda line: line.tuned - line.default)
    most = gains[-1]
    settled = sum(abs(line.tuned - line.default) <= POINT for line in scaled)
    first = max(methods, key=lambda line: line.default)
    return (
        f"Tuning the scale is worth {median(line.tuned - line.default for line in scaled):.1f} points to the median method and most to "
        f"{most.name} ({most.default:.1f} to {most.tuned:.1f}); {settled} of {len(scaled)} are within one point of their tuned score by "
        f"default. Untuned, {first.name} is best with {first.default:.1f}."
    )


def _cells(line: Line, mark: str = "") -> tuple[str, ...]:
    name = f"{mark}{line.name}{mark}" if line.baseline else line.name
    scales = f"{line.scales[0]:.2g}" + (f" to {line.scales[-1]:.2g}" if len(line.scales) > 1 else "") if line.scales else "-"
    interval = "-" if line.interval is None else f"{line.interval[0]:+.1f} to {line.interval[1]:+.1f}"
    costs = ("-" if value is None else f"{value:.{digits}f}" for value, digits in ((line.seconds, 2), (line.megabytes, 0)))
    return (name, f"{line.default:.1f}", f"{line.tuned:.1f}", scales, interval, *costs)


def _together(outcome: Outcome) -> str:
    """Points behind the best, method by setting, and how alike the settings rank the methods."""
    keys = [setting.key for setting in outcome.settings]
    table = behind(outcome)
    rows = []
    for name, gaps in table.items():
        cells = [f"{gaps[key]:.1f}" if key in gaps else "-" for key in keys]
        rows.append((name, *cells, f"{fmean(gaps.values()):.1f}"))
    everywhere = [name for name, gaps in table.items() if len(gaps) == len(keys)]
    always = [name for name in everywhere if max(table[name].values()) <= POINT]
    likeness = [
        f"{a} and {b} {rank_correlation([table[n][a] for n in everywhere], [table[n][b] for n in everywhere]):+.2f}"
        for a, b in combinations(keys, 2)
    ]
    return (
        "## All suites together\n\nPoints that a method's tuned score is behind the best of the suite.\n\n"
        + f"Within one point of the best everywhere: {', '.join(always) or 'none'}.\n"
        + f"How alike the suites rank the methods (Spearman's correlation over the {len(everywhere)} that ran everywhere): "
        + f"{'; '.join(likeness)}.\n\n"
        + as_markdown(("method", *keys, "mean"), rows)
    )


def _advice(outcome: Outcome, advice: Sequence[Advised]) -> str:
    rows = []
    for setting in outcome.settings:
        here = [one for one in advice if one.setting == setting.key]
        if here:
            choices = ", ".join(dict.fromkeys(one.choice for one in here))
            rows.append((setting.title, choices, *(_share([getattr(one, kind) for one in here]) for kind in ("default", "tuned"))))
    total = [_share([getattr(one, kind) for one in advice]) for kind in ("default", "tuned")]
    return (
        "## What `modelweave advise` would have taken\n\n"
        "How often its first choice, made from the weights alone, was within one point of the best. `as advised` is the choice with the "
        "advised parameters against the best by default; `tuned` is that method at its best scale against the best tuned. "
        f"In all: {total[0]} as advised, {total[1]} tuned.\n\n" + as_markdown(("suite", "first choice", "as advised", "tuned"), rows)
    )


def _share(gaps: Sequence[float | None]) -> str:
    return f"{sum(gap is not None and gap <= POINT for gap in gaps)} of {len(gaps)}"


def draw_study(outcome: Outcome, file: Path) -> None:
    """A panel a setting: a ring for the default and a disc for the tuned score of each method, lines for the baselines."""
    tables = {setting.title: lines_of(outcome, setting.key) for setting in outcome.settings}
    across = min(2, len(tables))
    down = -(-len(tables) // across)
    tallest = max((len(lines) for lines in tables.values()), default=1)
    figure = new_figure(5.6 * across, down * (0.19 * tallest + 1.3) + 0.5)
    panels = list(figure.subplots(down, across, squeeze=False).flat)
    marks: dict[str, Any] = {}
    for axes, (title, lines) in zip(panels, tables.items(), strict=False):
        _panel(axes, title, lines)
        handles, labels = axes.get_legend_handles_labels()
        marks |= dict(zip(labels, handles, strict=True))
    for axes in panels[len(tables) :]:
        axes.set_axis_off()
    figure.legend(marks.values(), marks.keys(), loc="outside lower center", ncols=3 * across, fontsize=8)
    save_figure(figure, file, dpi=110)


def _panel(draw: Any, title: str, lines: Sequence[Line]) -> None:
    methods = [line for line in lines if not line.baseline]
    for place, line in enumerate(methods):
        draw.plot([line.default, line.tuned], [place, place], color="tab:blue", alpha=0.35, linewidth=2)
        draw.plot(line.default, place, "o", color="tab:blue", markerfacecolor="white", markersize=5, label="default" if not place else None)
        draw.plot(line.tuned, place, "o", color="tab:blue", markersize=5, label="tuned" if not place else None)
    for line in (one for one in lines if one.baseline):
        draw.axvline(line.tuned, color=_COLOURS[line.name], linestyle="--", linewidth=1, label=line.name)
    draw.set_yticks(range(len(methods)), [line.name for line in methods], fontsize=7)
    draw.invert_yaxis()
    draw.set_title(title, fontsize=9)
    draw.tick_params(axis="x", labelsize=7)
    draw.set_xlabel("score", fontsize=8)
    draw.grid(axis="x", alpha=0.3)
