"""`modelweave diff`: how two checkpoints differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Json
from .printing import number, percent, progress_bar, say, show_json, show_table

if TYPE_CHECKING:
    from ..analysis.diff import Row


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="One model: folder, file, address or hub id.", show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="The other model.", show_default=False)],
    base: Annotated[str | None, typer.Option("--base", help="Their common base, to compare task vectors.", show_default=False)] = None,
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Write a heat map, too.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="A row for every module of every layer.")] = False,
    json: Json = False,
) -> None:
    """Show by layer and by kind of module how A and B differ.

    relative is norm(B - A) / norm(A); changed is the share of entries that are not equal. With --base: norms of
    the task vectors A - base and B - base (task A, task B), their cosine, the share of entries that each
    changes, and of those that both change the share with opposite signs (conflicts).

    \b
    Example:
      modelweave diff tuned-on-code tuned-on-law --base pretrained --png diff.png
    """
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
