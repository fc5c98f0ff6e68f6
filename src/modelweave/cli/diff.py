"""`modelweave diff`: how two checkpoints differ, and how several fine-tunes of one base get in each other's way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ParameterError
from .options import Json
from .printing import number, percent, progress_bar, say, show_json, show_table

if TYPE_CHECKING:
    from ..analysis.diff import Row
    from ..analysis.interference import Group, Interference


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="One model: folder, file, address or hub id.", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="The other model.", show_default=False)],
    more: Annotated[list[str] | None, typer.Argument(metavar="[C ...]", help="More fine-tunes of the base.", show_default=False)] = None,
    base: Annotated[str | None, typer.Option("--base", help="Their common base, to compare task vectors.", show_default=False)] = None,
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Write a heat map, too.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="A row for every module of every layer.")] = False,
    overlap: Annotated[bool, typer.Option("--overlap", help="Compare singular directions, too (slow for large matrices).")] = False,
    json: Json = False,
) -> None:
    """Show how A and B differ, or how several fine-tunes interfere.

    A row for each layer and each kind of module. relative is norm(B - A) / norm(A); changed is the share of entries that
    are not equal. With --base: norms of the task vectors A - base and B - base (task A, task B), their cosine, the share of
    entries that each changes, and of those that both change the share with opposite signs (conflicts).

    With more than two models, or with --overlap, and --base: cosine and sign conflicts of every pair of task vectors, the
    share of their leading singular directions that is common (with --overlap), and keeps: how much of the members' mean norm
    is left after a mean, a sum, ties at density 0.2 and 1, and magmax. 1 is all of it; a mean of n unrelated changes keeps 1/sqrt(n).

    \b
    Example:
      modelweave diff tuned-on-code tuned-on-law --base pretrained --png diff.png
      modelweave diff tuned-on-code tuned-on-law tuned-on-math --base pretrained
    """
    if more or overlap:
        return _interference([a, b, *(more or [])], base, png, every, overlap, json)
    from ..analysis.diff import as_dict, compare
    from ..checkpoints.open import open_checkpoint

    one, other, ground = open_checkpoint(a), open_checkpoint(b), None if base is None else open_checkpoint(base)
    with progress_bar("comparing") as progress:
        comparison = compare(one, other, ground, progress=progress)
    if png is not None:
        from ..analysis.diff_figure import draw_diff

        draw_diff(comparison, png)
    if json:
        return show_json(as_dict(comparison))
    with_base = comparison.with_base
    if every:
        _show("every module", comparison.rows, with_base, ("layer", "module"))
    else:
        _show("by layer", comparison.by_layer(), with_base, ("layer",))
        say()
        _show("by module, over all layers", comparison.by_kind(), with_base, ("module",))
    say()
    _show("everything", [comparison.total], with_base, ())
    for reason, count in Counter(comparison.skipped.values()).most_common():
        say(f"not compared  {count}: {reason}")


def _interference(models: Sequence[str], base: str | None, png: Path | None, every: bool, overlap: bool, json: bool) -> None:
    from ..analysis.interference import as_dict, interfere
    from ..checkpoints.open import open_checkpoint

    if base is None:
        raise ParameterError(f"diff: {len(models)} models are compared by their changes from a common base, none is given; add --base")
    ground, members = open_checkpoint(base), [open_checkpoint(model) for model in models]
    with progress_bar("comparing") as progress:
        found = interfere(ground, members, spectra=overlap, progress=progress)
    if png is not None:
        from ..analysis.interference_figure import draw_interference

        draw_interference(found, png)
    if json:
        return show_json(as_dict(found))
    _show_pairs(found)
    say()
    for title, groups in (("by layer, means over pairs", found.by_layer()), ("by module, over all layers", found.by_kind())):
        _show_groups(title, groups)
        say()
    if every:
        _show_groups("every module", found.groups)
        say()
    _show_groups("everything", [found.total])
    for reason, count in Counter(found.skipped.values()).most_common():
        say(f"not compared  {count}: {reason}")


def _show_pairs(found: Interference) -> None:
    sums = found.total.sums
    rows = [(label, number(norm), percent(relative)) for label, norm, relative in zip(found.labels, sums.norms, sums.relative, strict=True)]
    show_table(("model", ">norm of change", ">of the base %"), rows, title="members")
    say()
    pairs = combinations(range(len(found.labels)), 2)
    cells = [(found.labels[i], found.labels[j], number(sums.cosine(i, j)), percent(sums.conflict(i, j))) for i, j in pairs]
    show_table(("model", "and", ">cosine", ">conflicts %"), cells, title="pairs")


def _show_groups(title: str, groups: Sequence[Group]) -> None:
    from ..analysis.interference import WAYS

    spectra = any(group.sums.matrices for group in groups)
    columns = ["layer", "module", ">parameters", ">cosine", ">conflicts %", *([">overlap", ">by chance"] if spectra else [])]
    columns += [f">keeps, {way}" for way in WAYS]
    rows = []
    for group in groups:
        sums = group.sums
        cells = ["-" if group.layer is None else str(group.layer), group.kind, f"{sums.count:,}"]
        cells += [number(sums.mean_of(sums.cosine)), percent(sums.mean_of(sums.conflict))]
        if spectra:
            cells += [number(sums.mean_of(sums.overlap_of)), number(sums.mean_of(sums.chance_of))]
        rows.append([*cells, *(number(sums.keeps(way)) for way in WAYS)])
    show_table(columns, rows, title=title)


def _show(title: str, rows: Sequence[Row], with_base: bool, leads: Sequence[str]) -> None:
    """One table. leads: which of layer and module stand in front."""
    columns = [*leads, ">parameters", ">norm A", ">norm B", ">relative", ">changed %"]
    if with_base:
        columns += [">task A", ">task B", ">cosine", ">conflicts %", ">A changed %", ">B changed %"]
    show_table(columns, [_cells(row, with_base, leads) for row in rows], title=title)


def _cells(row: Row, with_base: bool, leads: Sequence[str]) -> list[str]:
    from ..analysis.diff import row_dict

    found: dict[str, Any] = row_dict(row, with_base)
    heads = {"layer": "-" if row.layer is None else str(row.layer), "module": row.kind}
    cells = [*(heads[lead] for lead in leads), f"{found['parameters']:,}"]
    cells += [number(found[key]) for key in ("norm_a", "norm_b", "relative")]
    cells.append(percent(found["changed"]))
    if with_base:
        cells += [number(found[key]) for key in ("task_norm_a", "task_norm_b", "cosine")]
        cells += [percent(found[key]) for key in ("conflicts", "changed_a", "changed_b")]
    return cells
