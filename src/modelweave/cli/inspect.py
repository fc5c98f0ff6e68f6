"""`modelweave inspect`: what a checkpoint holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..text.sizes import human_size
from ..text.words import counted
from .options import Json
from .printing import say, show_json, show_table

if TYPE_CHECKING:
    from ..analysis.inspect import Summary


def inspect(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Folder, file, address or hub id, with +ADAPTER for a LoRA.", show_default=False)
    ],
    every: Annotated[bool, typer.Option("--all", help="One row a tensor instead of one for all layers.")] = False,
    contains: Annotated[
        str, typer.Option("--filter", metavar="TEXT", help="Only tensors whose name contains TEXT.", show_default=False)
    ] = "",
    json: Json = False,
) -> None:
    """Show the tensors of MODEL; only headers are read.

    \b
    Example:
      modelweave inspect path/to/model --filter self_attn
    """
    from ..analysis.inspect import as_dict, summarize, tensor_rows
    from ..checkpoints.open import open_checkpoint

    checkpoint = open_checkpoint(model)
    summary, rows = summarize(checkpoint), tensor_rows(checkpoint, collapse=not every, contains=contains)
    if json:
        return show_json(as_dict(summary, rows))
    cells = [
        (
            row.name,
            row.layers or "-",
            row.tensors,
            "x".join(map(str, row.shape)) or "scalar",
            row.dtype,
            f"{row.parameters:,}",
            human_size(row.bytes),
        )
        for row in rows
    ]
    if cells:
        show_table(("tensor", "layers", "tensors", "shape", "dtype", "parameters", "bytes"), cells)
    else:
        say(f"no tensor's name contains '{contains}'" if contains else "no tensors")
    say()
    _show_summary(summary)


def _show_summary(summary: Summary) -> None:

    stacks = ", ".join(f"{count} in {stack or 'the top'}" for stack, count in summary.stacks.items())
    say(f"model         {summary.label}")
    say(f"architecture  {summary.architecture or 'unknown'}")
    say(f"parameters    {summary.parameters:,} in {counted(summary.tensors, 'tensor')}, {human_size(summary.bytes)}")
    dtypes = ", ".join(f"{tag}: {counted(count, 'tensor')}" for tag, (count, _) in summary.dtypes.items())
    say(f"dtypes        {dtypes or 'none'}")
    say(f"layers        {stacks or 'none'}")
    for name, stored in summary.aliases.items():
        say(f"alias         {name} is {stored}")
    if summary.buffers:
        say(f"buffers       {', '.join(summary.buffers)}")
    for name, reason in summary.ignored.items():
        say(f"ignored       {name}: {reason}")
    say(f"files         {', '.join(summary.files) or 'none beside the weights'}")
    if summary.fingerprint:
        say(f"fingerprint   {summary.fingerprint}")
