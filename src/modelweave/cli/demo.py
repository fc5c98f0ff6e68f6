"""`modelweave demo`: train, merge and compare small models on real images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .printing import say, show_table


def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder for models, recipes, table and plot.")] = Path("modelweave-demo"),
    quick: Annotated[bool, typer.Option("--quick", help="A few seconds, and scores that mean nothing.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of data and training.")] = 0,
) -> None:
    """Train, merge and compare small models on real images.

    One base, four specialists, their ensemble and their merges, each on all tasks.

    \b
    Example:
      modelweave demo my-first-merge
    """
    from ..papers.demo.run import run_demo
    from ..papers.demo.score import table

    result = run_demo(folder, quick=quick, seed=seed, say=lambda line: typer.echo(line, err=True))
    show_table(*table(result))
    say(f"\n{result.test_images} test images, {result.seconds:.0f} s; plot: {result.plot}")
