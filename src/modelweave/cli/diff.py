"""`modelweave diff`: how two checkpoints differ, and how several fine-tunes of one base get in each other's way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ParameterError
from ..text.words import fixed, number, percent
from .options import Json
from .printing import progress_bar, say, show_json, show_table

if TYPE_CHECKING:
    from ..analysis.diff import Sums
    from ..analysis.interference import Interference, Meeting
    from ..analysis.walk import Group

FEW = 3
"""How many tensors are named that were not compared for the same reason, and how many pairs at either end."""
MANY = 10
"""How many pairs are shown in full."""


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

    A row for each layer, one for what stands outside the layers, and one for each kind of module. relative is
    norm(B - A) / norm(A); changed is the share of entries that are not equal. With --base: norms of the task vectors
    A - base and B - base (task A, task B), their cosine, the share of entries that each changes, and of those that both
    change the share with opposite signs (conflicts).

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

        draw_diff(comparison, png, (one.label, other.label))
    if json:
        return show_json(as_dict(comparison))
    with_base = comparison.with_base
    if every:
        _show("every module", comparison.groups, with_base, ("layer", "module"))
    else:
        if any(row.layer is not None for row in comparison.groups):
            _show("by layer", comparison.by_layer(), with_base, ("layer",))
            say()
        _show("by module, over all layers", comparison.by_kind(), with_base, ("module",))
    say()
    _show(_last_title(comparison.skipped), [comparison.total], with_base, ())
    _say_skipped(comparison.skipped)


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
    _show_pairs(found, every)
    say()
    if any(group.layer is not None for group in found.groups):
        _show_groups("by layer, means over pairs", found.by_layer(), ("layer",))
        say()
    _show_groups("by module, over all layers", found.by_kind(), ("module",))
    say()
    if every:
        _show_groups("every module", found.groups, ("layer", "module"))
        say()
    _show_groups(_last_title(found.skipped), [found.total], ())
    _say_skipped(found.skipped)


def _last_title(skipped: Mapping[str, str]) -> str:
    return "everything compared" if skipped else "everything"


def _say_skipped(skipped: Mapping[str, str]) -> None:
    """A line a reason, the most frequent first, with the names of the first tensors."""
    names: dict[str, list[str]] = {}
    for name, reason in skipped.items():
        names.setdefault(reason, []).append(name)
    for reason, found in sorted(names.items(), key=lambda entry: -len(entry[1])):
        say(f"not compared  {len(found):,}: {reason} ({', '.join(found[:FEW])}{', ...' if len(found) > FEW else ''})")


def _show_pairs(found: Interference, every: bool) -> None:
    """The members, and their pairs; of many pairs the least and the most alike and the mean, unless every one is asked for."""
    sums = found.total.sums
    members = zip(found.labels, sums.norms, sums.relative, strict=True)
    rows = [(label, number(norm), number(100 * relative)) for label, norm, relative in members]
    show_table(("model", "norm of change", "of the base %"), rows, title="members")
    say()
    pairs = list(combinations(range(len(found.labels)), 2))
    title, last = "pairs", []
    if len(pairs) > MANY and not every:
        pairs.sort(key=lambda pair: sums.cosine(*pair) or 0.0)
        title = f"pairs, the least and the most alike of {len(pairs)}; --all shows every one"
        pairs = [*pairs[:FEW], *pairs[-FEW:]]
        last = [("mean of all", "", fixed(sums.mean_of(sums.cosine)), percent(sums.mean_of(sums.conflict)))]
    cells = [(found.labels[i], found.labels[j], fixed(sums.cosine(i, j)), percent(sums.conflict(i, j))) for i, j in pairs]
    show_table(("model", "and", "cosine", "conflicts %"), [*cells, *last], title=title)


def _show_groups(title: str, groups: Sequence[Group[Meeting]], leads: Sequence[str]) -> None:
    """One table. leads: which of layer and module stand in front."""
    from ..analysis.interference import WAYS

    spectra = any(group.sums.matrices for group in groups)
    columns = [*leads, "parameters", "cosine", "conflicts %", *(["overlap", "by chance"] if spectra else [])]
    columns += [f"keeps {way}" for way in WAYS]
    rows = []
    for group in groups:
        sums = group.sums
        cells = [*_heads(group, leads), f"{sums.count:,}", fixed(sums.mean_of(sums.cosine)), percent(sums.mean_of(sums.conflict))]
        if spectra:
            cells += [number(sums.mean_of(sums.overlap_of)), number(sums.mean_of(sums.chance_of))]
        rows.append([*cells, *(fixed(sums.keeps(way)) for way in WAYS)])
    show_table(columns, rows, title=title)


def _heads(row: Group[Any], leads: Sequence[str]) -> list[str]:
    found = {"layer": "outside" if row.layer is None else str(row.layer), "module": row.kind}
    return [found[lead] for lead in leads]


def _show(title: str, rows: Sequence[Group[Sums]], with_base: bool, leads: Sequence[str]) -> None:
    """One table. leads: which of layer and module stand in front."""
    columns = [*leads, "parameters", "norm A", "norm B", "relative", "changed %"]
    if with_base:
        columns += ["task A", "task B", "cosine", "conflicts %", "A changed %", "B changed %"]
    show_table(columns, [_cells(row, with_base, leads) for row in rows], title=title)


def _cells(row: Group[Sums], with_base: bool, leads: Sequence[str]) -> list[str]:
    from ..analysis.diff import row_dict

    found: dict[str, Any] = row_dict(row, with_base)
    cells = [*_heads(row, leads), f"{found['parameters']:,}"]
    cells += [number(found[key]) for key in ("norm_a", "norm_b", "relative")]
    cells.append(percent(found["changed"]))
    if with_base:
        cells += [number(found["task_norm_a"]), number(found["task_norm_b"]), fixed(found["cosine"])]
        cells += [percent(found[key]) for key in ("conflicts", "changed_a", "changed_b")]
    return cells
