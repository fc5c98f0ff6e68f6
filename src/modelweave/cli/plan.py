"""`modelweave plan`: what a recipe would do, from headers alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..text.sizes import human_size, parse_size
from ..text.words import counted
from .options import Json, Memory, Recipe, Seed, Sets
from .printing import say, show_json, show_table, warn

if TYPE_CHECKING:
    from ..recipes.planning.plan import Plan

Named = tuple[str, "Plan"]


def plan(recipe: Recipe, sets: Sets = None, seed: Seed = None, memory: Memory = "1GiB", json: Json = False) -> None:
    """Show what RECIPE would do; only headers are read.

    Every error that headers can reveal is found here. Later documents of one file are planned over the
    results that earlier ones would have.

    \b
    Example:
      modelweave plan recipe.yml --set dtype=float16
    """
    from ..recipes.planning.describe import as_dict

    limit = parse_size(memory, "--memory")
    plans = planned(recipe, sets or (), seed)
    if json:
        show_json([{"document": name or None, **as_dict(plan, limit)} for name, plan in plans])
    else:
        show_plans(plans, limit)


def planned(recipe: Path, sets: Sequence[str] = (), seed: int | None = None) -> list[Named]:
    """The plans of a file's documents with their names, those first whose results later ones use."""
    from ..recipes.language.load import load_recipe
    from ..recipes.planning.planned import plan_documents

    documents = load_recipe(recipe, sets)
    plans = plan_documents(documents, near=recipe.parent, seed=seed)
    return [(document.name or "", plan) for document, plan in zip(documents, plans, strict=True)]


def show_plans(plans: Sequence[Named], memory: int) -> None:
    """Print every plan; a headline separates the documents of one file."""
    for number, (name, plan) in enumerate(plans, start=1):
        if len(plans) > 1:
            use = "the result" if number == len(plans) else "for the documents after it"
            say(f"{'' if number == 1 else chr(10)}document {number} of {len(plans)}{f', {name}' if name else ''}: {use}")
        show_plan(plan, memory)


def show_plan(plan: Plan, memory: int) -> None:
    """Inputs, outputs, totals, what is dropped; warnings on stderr."""
    from ..recipes.planning.describe import dropped_rows, input_rows, output_rows, totals, whole_matrices

    rows = input_rows(plan)
    inputs = [
        (
            row.label,
            row.role,
            row.tensors,
            f"{row.parameters:,}",
            human_size(row.bytes),
            ", ".join(row.dtypes),
            row.architecture or "-",
            "-" if row.vocabulary is None else row.vocabulary,
            "yes" if row.tokenizer else "no",
            row.licence or "-",
        )
        for row in rows
    ]
    columns = ("input", "role", "tensors", "parameters", "bytes", "dtype", "architecture", "vocabulary", "tokenizer", "licence")
    show_table(columns, inputs)
    say()
    if plan.vocabulary:
        show_table(("vocabulary of", "rows", "tokens", "lacks", "rows from elsewhere"), plan.vocabulary)
        say()
    outputs = [
        (
            row.name,
            row.layers or "-",
            row.count,
            "x".join(map(str, row.shape)) or "scalar",
            row.dtype,
            row.method,
            ", ".join(row.inputs) + (" over the base" if row.base else ""),
            human_size(row.bytes),
            row.reason,
        )
        for row in output_rows(plan)
    ]
    show_table(("output", "layers", "tensors", "shape", "dtype", "method", "from", "bytes", "note"), outputs)
    say()
    sums = totals(plan, memory)
    fates = f"{sums.merged} merged, {sums.copied} copied, {sums.dropped} dropped"
    say(f"outputs     {counted(sums.outputs, 'tensor')}, {sums.parameters:,} parameters: {fates}")
    say(f"reads       {human_size(sums.bytes_read)}")
    say(f"writes      {human_size(sums.bytes_written)}")
    say(f"memory      {human_size(sums.peak)} of buffers at most")
    named = any(row.licence for row in rows)
    say(f"licence     {plan.licence or ('none that the inputs agree on' if named else 'unknown, no input names one')}")
    say(f"files       {', '.join(sorted(plan.side_files)) or 'none beside weights, card and manifest'}")
    for reason, count, example in dropped_rows(plan.dropped):
        say(f"dropped     {count}: {reason}, as in {example}")
    for warning in (*plan.warnings, *filter(None, [whole_matrices(plan, memory)])):
        warn(warning)
