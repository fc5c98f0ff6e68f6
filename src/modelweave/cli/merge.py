"""`modelweave merge`: run a recipe into a folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..text.sizes import human_size, parse_size
from .options import Memory, Recipe, Seed, Sets
from .printing import progress_bar, say, warn

if TYPE_CHECKING:
    from ..engine.merge import MergeResult


def merge(
    recipe: Recipe,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; it must not exist yet.", show_default=False)],
    resume: Annotated[bool, typer.Option("--resume", help="Continue a run that was interrupted.")] = False,
    shard_size: Annotated[str, typer.Option("--shard-size", metavar="SIZE", help="Largest weights file.")] = "5GB",
    memory: Memory = "1GiB",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Workers; one a core by default.", show_default=False)] = None,
    device: Annotated[str, typer.Option("--device", metavar="cpu|cuda", help="Where methods on whole matrices are computed.")] = "cpu",
    sets: Sets = None,
    seed: Seed = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")] = False,
    allow_nonfinite: Annotated[bool, typer.Option("--allow-nonfinite", help="Accept inputs that hold NaN or infinity.")] = False,
    hash_inputs: Annotated[bool, typer.Option("--hash-inputs", help="Record the SHA-256 of large files, too: one more reading.")] = False,
    sync: Annotated[bool, typer.Option("--sync", help="Force the result to the disk: safe from a power cut, too.")] = False,
) -> None:
    """Merge the models of RECIPE into the folder OUT.

    The folder appears whole or not at all; an interrupted run is continued with --resume.

    \b
    Example:
      modelweave merge recipe.yml merged --set parameters.density=0.3 --memory 2GiB
    """
    from ..engine.device import check_device

    limits = {"shard_size": parse_size(shard_size, "--shard-size"), "memory": parse_size(memory, "--memory")}
    check_device(device)
    if dry_run:
        from .plan import planned, show_plans

        return show_plans(planned(recipe, sets or (), seed), limits["memory"])
    from ..engine.documents import merge_recipe

    try:
        with progress_bar("merging") as progress:
            result = merge_recipe(
                recipe,
                out,
                resume=resume,
                threads=threads,
                device=device,
                sets=sets or (),
                seed=seed,
                allow_nonfinite=allow_nonfinite,
                hash_inputs=hash_inputs,
                sync=sync,
                progress=progress,
                **limits,
            )
    except KeyboardInterrupt:
        typer.echo("interrupted; the same command with --resume continues where it stopped", err=True)
        raise typer.Exit(130) from None
    for line in summary_lines(result):
        say(line)
    if result.notice:
        warn(result.notice)
    for warning in result.warnings:
        warn(warning)


def summary_lines(result: MergeResult) -> list[str]:
    """Where the result is, what it took, and what became of the tensors."""
    from ..recipes.planning.describe import dropped_rows

    lines = [f"wrote {result.folder}: {human_size(result.written)} in {result.seconds:.1f} s"]
    merged = Counter(report.action for report in result.tensors if report.action != "copied")
    lines += [f"  {count} merged by {action}" for action, count in merged.most_common()]
    copied = Counter((report.notes or ("",))[0] for report in result.tensors if report.action == "copied")
    lines += [f"  {count} copied: {reason}".removesuffix(": ") for reason, count in copied.most_common()]
    return lines + [f"  {count} dropped: {reason}" for reason, count, _ in dropped_rows(result.dropped)]
