"""From a recipe file to a folder: its documents one after the other, each made of inputs and of results before it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..checkpoints.open import open_checkpoint
from ..checkpoints.results.folder import DISCARDED
from ..checkpoints.results.manifest import NAME, recorded
from ..checkpoints.results.target import refuse_inside
from ..checkpoints.results.waiting import WaitingResults
from ..checkpoints.tensors import Checkpoint
from ..recipes.language.load import load_recipe
from ..recipes.planning.build import build_plan
from ..recipes.planning.plan import Plan
from ..recipes.planning.planned import ancestors, in_document, not_needed, plan_documents
from ..text.sizes import parse_size
from .merge import MergeResult, already, fingerprint, input_folders, write_plan
from .options import FolderOptions, Progress, RunOptions


def merge_recipe(
    recipe: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    shard_size: int | str = FolderOptions.shard_size,
    memory: int | str = "1GiB",
    threads: int | None = None,
    device: str = "cpu",
    sets: Sequence[str] = (),
    seed: int | None = None,
    allow_nonfinite: bool = False,
    hash_inputs: bool = False,
    sync: bool = False,
    progress: Progress | None = None,
) -> MergeResult:
    """Merge what a recipe file describes into a folder.

    A file of several documents is worked through in the order of their dependencies; results that the last one is made of stand in a
    folder beside `out` until it is whole, so that a resumed run finds them.

    Args:
        recipe: the file.
        out: the folder, which must not exist yet; it appears whole or not at all.
        resume: go on with a run that was interrupted.
        shard_size: of a weights file at most, bytes or a size such as "5GB".
        memory: for buffers and statistics, bytes or a size.
        threads: workers; None: one a core.
        device: `cpu` or `cuda`, where methods on whole matrices are computed.
        sets: assignments as after `--set`, such as "parameters.density=0.3".
        seed: in place of the recipe's.
        allow_nonfinite: whether inputs may hold NaN or infinity.
        hash_inputs: read large files once more for their SHA-256, in the record.
        sync: force everything to the disk before the folder appears.
        progress: called with what is done and what there is to do, in bytes.

    Returns:
        The folder, what became of every tensor, and warnings.

    Raises:
        ModelweaveError: before anything is written for whatever headers can reveal.
    """
    path = Path(recipe)
    documents = load_recipe(path, sets)
    options = RunOptions.given(memory=memory, threads=threads, device=device, allow_nonfinite=allow_nonfinite, progress=progress)
    written = FolderOptions(resume, parse_size(shard_size, "shard_size"), hash_inputs, sync)
    opened: dict[str, Checkpoint] = {}
    # all of them, so that an error in a later one is found before the first is merged
    plans = plan_documents(documents, near=path.parent, opened=opened, seed=seed)
    refuse_inside(out, [folder for plan in plans for folder in input_folders(plan)])
    asked = fingerprint(*plans)
    if found := already(plans[-1], out, written, asked):
        return found

    def planned(number: int) -> Plan:
        made_of_earlier = bool(documents[number].needs)
        return build_plan(documents[number], near=path.parent, opened=opened, seed=seed) if made_of_earlier else plans[number]

    last, needed, records = len(documents) - 1, ancestors(documents), dict[str, Any]()
    notices: list[str] = []
    warnings = [not_needed(documents[number]) for number in range(last) if number not in needed]
    with WaitingResults(out, resume=resume) as stages:
        notices += [DISCARDED] if stages.discarded else []
        for number in needed:
            name, folder = str(documents[number].name), stages.place(number + 1)
            with in_document(name):
                plan = planned(number)
                if stages.is_there(folder, fingerprint(plan), _fingerprint_of(folder)):
                    notices.append(f"document '{name}' was already merged")
                elif notice := write_plan(plan, folder, options, written).notice:
                    notices.append(f"document '{name}': {notice}")
                opened[name] = open_checkpoint(folder, label=name)
                records[name] = recorded(opened[name])
            warnings += [f"document '{name}': {warning}" for warning in records[name].get("warnings", ())]
        with in_document(documents[last].name if last else None):
            result = write_plan(planned(last), out, options, written, earlier=records, asked=asked, lock=stages.lock)
        stages.remove()
    notices += [result.notice] if result.notice else []
    notices += ["nothing to resume; started from the beginning"] if resume and not notices else []
    return replace(result, warnings=(*warnings, *result.warnings), notice="; ".join(dict.fromkeys(notices)))


def _fingerprint_of(folder: Path) -> str | None:
    """What the record of a result says of the recipe and inputs that it is made of."""
    if not (folder / NAME).is_file():
        return None
    return recorded(open_checkpoint(folder)).get("fingerprint")
