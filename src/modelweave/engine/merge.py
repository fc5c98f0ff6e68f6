"""From a plan to a folder: lock, compute, describe, and let the result appear whole."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..checkpoints.open import open_checkpoint
from ..checkpoints.results.folder import FolderSink
from ..checkpoints.results.lock import FolderLock
from ..checkpoints.results.manifest import recorded
from ..checkpoints.results.target import refuse_inside
from ..errors import without_secrets
from ..recipes.planning.describe import parameter_sets
from ..recipes.planning.plan import Plan
from ..text.sizes import human_size
from ..version import VERSION
from .kept import Kept
from .options import FolderOptions, RunOptions
from .record import record_of, side_files
from .run import TensorReport, run

COMPLETE = "complete already"
"""What the user is told of a result that an equal run has written."""


@dataclass(frozen=True, repr=False)
class MergeResult:
    """What was written, and what became of every tensor.

    Attributes:
        folder: where the result stands.
        tensors: of each its name, shape and type, how it was made, and of which inputs.
        dropped: tensors that are not in the result, each with the reason.
        warnings: what a reader should know.
        written: bytes.
        seconds: how long it took.
        notice: what became of the work of an earlier run, or empty.
    """

    folder: Path
    tensors: tuple[TensorReport, ...]
    dropped: Mapping[str, str]
    warnings: tuple[str, ...]
    written: int
    seconds: float
    notice: str = ""

    def __repr__(self) -> str:
        size, more = human_size(self.written), f", {len(self.warnings)} warnings" if self.warnings else ""
        return f"MergeResult('{self.folder}', {len(self.tensors)} tensors, {size} in {self.seconds:.1f} s{more})"


def write_plan(
    plan: Plan,
    out: str | os.PathLike[str],
    options: RunOptions | None = None,
    folder: FolderOptions | None = None,
    *,
    earlier: Mapping[str, Mapping[str, Any]] | None = None,
    asked: str | None = None,
    lock: FolderLock | None = None,
) -> MergeResult:
    """Run a plan into a folder that appears under its name only when it is whole; random numbers are drawn by the plan's seed.

    earlier: the records of results that it is made of, by name; asked: what a repeated run of all of them must find. lock: of the place,
    where the caller holds it.
    """
    began = time.time()
    options, folder = replace(options or RunOptions(), seed=plan.seed), folder or FolderOptions()
    if found := already(plan, out, folder):
        return found
    refuse_inside(out, input_folders(plan))
    identity = fingerprint(plan)
    with _sink(plan, out, folder, identity, lock) as sink:
        kept = Kept(sink)
        reports = run(plan.tensors, sink, options, spill=sink.out.parent, kept=kept)
        for checkpoint in plan.inputs:
            checkpoint.check_unchanged()
        record = record_of(plan, reports, kept, hash_inputs=folder.hash_inputs, threads=options.threads)
        record |= {"fingerprint": identity, "documents": dict(earlier or {}), "seconds": time.time() - began}
        record |= {"asked": asked} if asked not in (None, identity) else {}
        for name, content in side_files(plan, os.fsencode(sink.out.name).decode(errors="replace"), record).items():
            sink.write_file(name, content)
        there = sink.commit()
    warnings = (*plan.warnings, *kept.warnings)
    return MergeResult(Path(out), tuple(reports), dict(plan.dropped), warnings, _size(there), time.time() - began, sink.notice)


def already(plan: Plan, out: str | os.PathLike[str], folder: FolderOptions, asked: str | None = None) -> MergeResult | None:
    """The result that stands whole in `out`, where one is to be resumed and an equal run has written it; else None.

    asked: the fingerprint of all documents of a recipe, where the plan is the last of several.
    """
    if not folder.resume or not _sink(plan, out, folder).is_complete():
        return None
    record = recorded(open_checkpoint(out))
    if record.get("asked", record.get("fingerprint")) != (asked or fingerprint(plan)):
        return None
    rows = [
        {**row, "shape": tuple(row["shape"]), "inputs": tuple(row["inputs"]), "notes": tuple(row["notes"])} for row in record["tensors"]
    ]
    reports = [TensorReport(**{field.name: row[field.name] for field in fields(TensorReport)}) for row in rows]
    return MergeResult(Path(out), tuple(reports), record["dropped"], tuple(record["warnings"]), _size(Path(out)), 0.0, COMPLETE)


def _sink(plan: Plan, out: str | os.PathLike[str], folder: FolderOptions, identity: str = "", lock: FolderLock | None = None) -> FolderSink:
    specs = [(t.name, t.shape, t.dtype) for t in plan.tensors]
    shards, resume, sync = folder.shard_size, folder.resume, folder.sync
    return FolderSink(out, specs, fingerprint=identity, shard_size=shards, resume=resume, sync=sync, lock=lock)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def fingerprint(*plans: Plan) -> str:
    """What a resumed run must find unchanged: what is asked, as resolved, the seed, the inputs, and what is written beside the weights."""
    if len(plans) > 1:
        return hashlib.sha256("".join(map(fingerprint, plans)).encode()).hexdigest()
    (plan,) = plans
    inputs = [checkpoint.fingerprint() for checkpoint in plan.inputs]
    tensors = [[t.name, [[ref.name, ref.identity()] for ref in t.reads]] for t in plan.tensors]
    files = {name: hashlib.sha256(content).hexdigest() for name, content in plan.side_files.items()}
    asked = [plan.recipe, plan.seed, parameter_sets(plan.tensors)]
    text = json.dumps([VERSION, asked, inputs, tensors, plan.config, files], sort_keys=True, default=str)
    # a link that was signed anew leads to the same files
    return hashlib.sha256(without_secrets(text).encode("utf-8", "backslashreplace")).hexdigest()


def input_folders(plan: Plan) -> list[Path]:
    """The folders of the inputs on this machine's disk, an adapter's and its base's both."""
    return [folder for checkpoint in plan.inputs for folder in checkpoint.folders()]
