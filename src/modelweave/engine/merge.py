"""From a plan to a folder: lock, compute, describe, and let the result appear whole."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..catalog import METHODS
from ..checkpoints.results.card import model_card
from ..checkpoints.results.folder import FolderSink
from ..checkpoints.results.lock import FolderLock
from ..checkpoints.results.manifest import NAME, manifest
from ..checkpoints.results.target import refuse_inside
from ..checkpoints.tensors import Checkpoint
from ..errors import OutputError, without_secrets
from ..recipes.planning.describe import parameter_sets
from ..recipes.planning.plan import Plan
from ..version import VERSION
from .run import Progress, TensorReport, run, thread_count
from .two_pass import Kept

SHARD = 5_000_000_000


@dataclass(frozen=True)
class MergeResult:
    """What a merge wrote, and what became of every tensor. notice: what became of the work of an earlier run, or empty."""

    folder: Path
    tensors: tuple[TensorReport, ...]
    dropped: Mapping[str, str]
    warnings: tuple[str, ...]
    written: int
    seconds: float
    notice: str = ""


def write_plan(
    plan: Plan,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    shard_size: int = SHARD,
    memory: int = 1 << 30,
    threads: int | None = None,
    device: str = "cpu",
    seed: int | None = None,
    allow_nonfinite: bool = False,
    hash_inputs: bool = False,
    sync: bool = False,
    earlier: Mapping[str, Mapping[str, Any]] | None = None,
    lock: FolderLock | None = None,
    progress: Progress | None = None,
) -> MergeResult:
    """Run a plan into a folder that appears under its name only when it is whole.

    hash_inputs: read files of 256 MiB and more once again for their SHA-256, in the record. sync: force everything to the disk before the
    folder appears, so that a power cut leaves no less than a kill does. earlier: the records of results that it is made of, by name.
    lock: of the place, where the caller holds it.
    """
    began = time.time()
    seed = plan.seed if seed is None else seed
    refuse_inside(out, input_folders(plan))
    specs = [(t.name, t.shape, t.dtype) for t in plan.tensors]
    kept = Kept()
    identity = fingerprint(plan, seed)
    with FolderSink(out, specs, fingerprint=identity, shard_size=shard_size, resume=resume, sync=sync, lock=lock) as sink:
        reports = run(
            plan.tensors,
            sink,
            threads=threads,
            memory=memory,
            device=device,
            seed=seed,
            allow_nonfinite=allow_nonfinite,
            progress=progress,
            spill=sink.out.parent,
            kept=kept,
            masks_into=sink,
        )
        for checkpoint in plan.inputs:
            checkpoint.check_unchanged()
        record = _record(plan, reports, kept, seed)
        if plan.statistics:
            record["statistics"] = _provenance(plan.statistics, hash_inputs, threads)
        record |= {"inputs": _provenance(plan.checkpoints, hash_inputs, threads), "fingerprint": identity, "documents": dict(earlier or {})}
        record["seconds"] = time.time() - began
        for name, content in _side_files(plan, os.fsencode(sink.out.name).decode(errors="replace"), record).items():
            sink.write_file(name, content)
        folder = sink.commit()
    written = sum(f.stat().st_size for f in folder.iterdir() if f.is_file())
    warnings = (*plan.warnings, *kept.warnings)
    return MergeResult(Path(out), tuple(reports), dict(plan.dropped), warnings, written, time.time() - began, sink.notice)


def fingerprint(plan: Plan, seed: int) -> str:
    """What a resumed run must find unchanged: what is asked, as resolved, the seed, the inputs, and what is written beside the weights."""
    inputs = [checkpoint.fingerprint() for checkpoint in plan.inputs]
    tensors = [[t.name, [[ref.name, ref.identity()] for ref in t.reads]] for t in plan.tensors]
    files = {name: hashlib.sha256(content).hexdigest() for name, content in plan.side_files.items()}
    asked = [plan.recipe, seed, parameter_sets(plan.tensors)]
    text = json.dumps([VERSION, asked, inputs, tensors, plan.config, files], sort_keys=True, default=str)
    # a link that was signed anew leads to the same files
    return hashlib.sha256(without_secrets(text).encode("utf-8", "backslashreplace")).hexdigest()


def input_folders(plan: Plan) -> list[Path]:
    """The folders of the inputs on this machine's disk, an adapter's and its base's both."""
    return [folder for checkpoint in plan.inputs for folder in checkpoint.folders()]


def _provenance(checkpoints: Sequence[Checkpoint], hash_large: bool, threads: int | None) -> list[dict[str, Any]]:
    """Where each input came from, with its hashes, which are found side by side."""
    with ThreadPoolExecutor(thread_count(threads)) as pool:
        return list(pool.map(lambda checkpoint: checkpoint.provenance(hash_large=hash_large), checkpoints))


def _record(plan: Plan, reports: Sequence[TensorReport], kept: Kept, seed: int) -> dict[str, Any]:
    """What was asked and what became of every tensor."""
    sets, place = parameter_sets(plan.tensors)
    return {
        "recipe": plan.recipe,
        "seed": seed,
        "parameters": sets,
        "tensors": [asdict(r) | ({"parameters": place[r.name]} if r.name in place else {}) for r in reports],
        "dropped": dict(plan.dropped),
        "warnings": [*plan.warnings, *kept.warnings],
        **kept.records,
    }


def _side_files(plan: Plan, name: str, record: dict[str, Any]) -> dict[str, bytes]:
    """Everything beside the weights: config, tokenizer and its kin, card, manifest."""
    files = dict(plan.side_files)
    if plan.config is not None:
        files["config.json"] = (json.dumps(plan.config, indent=2) + "\n").encode()
    documents = [*record["documents"].values(), record]
    labels = [row["label"] for one in documents for row in one["inputs"] if row["label"] not in record["documents"]]
    used = dict.fromkeys(own["method"] for one in documents for own in one["parameters"])
    rows = [METHODS[word] for word in used if word in METHODS]
    files["README.md"] = model_card(
        name=name,
        recipes=[one["recipe"] for one in documents],
        labels=[without_secrets(label) for label in labels],
        methods=[(row.title, row.formula, row.source) for row in rows],
        licence=plan.licence,
        library="transformers" if plan.config and "model_type" in plan.config else None,
    ).encode()
    try:
        files[NAME] = (json.dumps(manifest(**record), indent=1) + "\n").encode()
    except TypeError as error:
        raise OutputError(f"{NAME}: the recipe holds a value that JSON cannot ({error})") from error
    return files
