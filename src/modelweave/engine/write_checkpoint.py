"""Any checkpoint into a folder: what was transformed, aligned, extracted or converted is written as a merge is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..checkpoints.tensors import Checkpoint
from ..recipes.planning.as_it_is import plan_checkpoint
from ..text.sizes import parse_size
from .merge import MergeResult, write_plan
from .options import FolderOptions, Progress, RunOptions


def write_checkpoint(
    checkpoint: Checkpoint,
    out: str | os.PathLike[str],
    *,
    record: Mapping[str, Any],
    made: str = "Computed from other checkpoints",
    resume: bool = False,
    shard_size: int | str = FolderOptions.shard_size,
    memory: int | str = "1GiB",
    threads: int | None = None,
    allow_nonfinite: bool = False,
    hash_inputs: bool = False,
    sync: bool = False,
    progress: Progress | None = None,
) -> MergeResult:
    """Write a checkpoint, whose tensors may be computed when they are read, as a folder that appears whole or not at all.

    Beside the weights stand the checkpoint's config and side files, a model card, and `modelweave.json`, which say how it was made.

    Args:
        checkpoint: what to write; its `parts()` are named as the inputs, its tensors get the types that it declares (`stored`).
        out: the folder; it must not exist yet, and not lie inside a folder that is read.
        record: how it was made, as plain data: the operation, its options, whatever a reader needs to repeat it. A resumed run compares it.
        made: the same in one sentence without a full stop, for the card.
        resume: keep the tensors that an interrupted run of the same checkpoint and record finished.
        shard_size: the largest file of weights, in bytes or as in "5GB".
        memory: bytes for buffers, or as in "1GiB".
        threads: workers, one a core by default.
        allow_nonfinite: whether NaN and infinity are written.
        hash_inputs: whether large files are read once more for their SHA-256.
        sync: whether everything is forced to the disk before the folder appears.
        progress: called with (done, total) in bytes.

    Returns:
        MergeResult: the folder, a report a tensor, warnings, the size and the time.

    Raises:
        OutputError: for a place that is taken, in use, too small or inside an input.
        NonFiniteError: for NaN and infinity.
    """
    plan = plan_checkpoint(checkpoint, record, made=made)
    options = RunOptions.given(memory=memory, threads=threads, allow_nonfinite=allow_nonfinite, progress=progress)
    folder = FolderOptions(resume, parse_size(shard_size, "shard_size"), hash_inputs, sync)
    return write_plan(plan, out, options, folder)
