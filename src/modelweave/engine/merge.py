"""From a recipe to a folder: plan, lock, compute, describe, and let the result appear whole."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .. import __version__
from ..catalog import METHODS
from ..checkpoints.card import model_card
from ..checkpoints.folder import FolderSink
from ..checkpoints.manifest import NAME, manifest, recorded, without_secrets
from ..checkpoints.open import open_checkpoint
from ..checkpoints.stages import Stages
from ..checkpoints.target import refuse_inside
from ..errors import OutputError
from ..recipes.build import build_plan
from ..recipes.describe import parameter_sets
from ..recipes.load import load_recipe
from ..recipes.plan import Plan
from ..recipes.planned import plan_documents
from ..recipes.sizes import parse_size
from .run import Progress, TensorReport, run, thread_count
from .two_pass import Kept

SHARD = 5_000_000_000


@dataclass(frozen=True)
class MergeResult:
    """What a merge wrote, and what became of every tensor."""

    folder: Path
    tensors: tuple[TensorReport, ...]
    dropped: Mapping[str, str]
    warnings: tuple[str, ...]
    written: int
    seconds: float


def merge_recipe(
    recipe: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    shard_size: int | str = SHARD,
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
    """Merge what a recipe file describes into the folder `out`.

    A file of several documents is worked through in the order of their dependencies; results that later documents use stand in a
    folder beside `out` until the last one is whole, so that a resumed run finds them. Raises ModelweaveError before anything is
    written for whatever headers can reveal. hash_inputs, sync: as for `write_plan`.
    """
    path = Path(recipe)
    documents = load_recipe(path, sets)
    options: dict[str, Any] = {
        "resume": resume,
        "shard_size": parse_size(shard_size, "shard_size"),
        "memory": parse_size(memory, "memory"),
        "threads": threads,
        "device": device,
        "allow_nonfinite": allow_nonfinite,
        "hash_inputs": hash_inputs,
        "sync": sync,
        "progress": progress,
    }
    if len(documents) == 1:
        return write_plan(build_plan(documents[0], near=path.parent, seed=seed), out, **options)
    # so that an error in a later one is found before the first is merged
    plans = plan_documents(documents, near=path.parent, seed=seed)
    refuse_inside(out, [folder for plan in plans for folder in _input_folders(plan)])
    used = {name for document in documents for name in document.needs}
    opened: dict[str, Any] = {}
    records: dict[str, Any] = {}
    with Stages(out, resume=resume) as stages:
        for number, document in enumerate(documents[:-1], 1):
            folder, name = stages.place(number), str(document.name)
            if name not in used:
                continue
            plan = build_plan(document, near=path.parent, opened=opened, seed=seed)
            if not stages.is_there(number, fingerprint(plan, plan.seed), _fingerprint_of(folder)):
                write_plan(plan, folder, earlier=records, **options)
            opened[name] = open_checkpoint(folder, label=name)
            records[name] = recorded(opened[name])
        plan = build_plan(documents[-1], near=path.parent, opened=opened, seed=seed)
        result = write_plan(plan, out, earlier=records, **options)
        stages.remove()
    unused = [warning for plan in plans[:-1] for warning in plan.warnings]
    return replace(result, warnings=tuple(dict.fromkeys((*unused, *result.warnings))))


def _fingerprint_of(folder: Path) -> str | None:
    """What the record of a result says of the recipe and inputs that it is made of."""
    if not (folder / NAME).is_file():
        return None
    return recorded(open_checkpoint(folder)).get("fingerprint")


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
    progress: Progress | None = None,
) -> MergeResult:
    """Run a plan into a folder that appears under its name only when it is whole.

    hash_inputs: read files of 256 MiB and more once again for their SHA-256, in the record. sync: force everything to the disk before the
    folder appears, so that a power cut leaves no less than a kill does. earlier: the records of results that are among its inputs, by name.
    """
    began = time.time()
    seed = plan.seed if seed is None else seed
    refuse_inside(out, _input_folders(plan))
    specs = [(t.name, t.shape, t.dtype) for t in plan.tensors]
    kept = Kept()
    identity = fingerprint(plan, seed)
    with FolderSink(out, specs, fingerprint=identity, shard_size=shard_size, resume=resume, sync=sync) as sink:
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
        for checkpoint in plan.checkpoints:
            checkpoint.check_unchanged()
        record = _record(plan, reports, kept, seed)
        record |= {"inputs": _provenance(plan, hash_inputs, threads), "fingerprint": identity, "documents": dict(earlier or {})}
        record["seconds"] = time.time() - began
        for name, content in _side_files(plan, sink.out.name, record).items():
            sink.write_file(name, content)
        folder = sink.commit()
    written = sum(f.stat().st_size for f in folder.iterdir() if f.is_file())
    warnings = (*plan.warnings, *kept.warnings, *([sink.notice] if sink.notice else []))
    return MergeResult(Path(out), tuple(reports), dict(plan.dropped), warnings, written, time.time() - began)


def fingerprint(plan: Plan, seed: int) -> str:
    """What a resumed run must find unchanged: the recipe as resolved, the seed and the inputs."""
    inputs = [c.fingerprint() if hasattr(c, "fingerprint") else c.label for c in plan.checkpoints]
    text = json.dumps([__version__, plan.recipe, seed, inputs, [t.name for t in plan.tensors]], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _input_folders(plan: Plan) -> list[Path]:
    """The folders of the inputs on this machine's disk, an adapter's and its base's both."""
    parts: list[Any] = [part for c in plan.checkpoints for part in (c, getattr(c, "adapter", None), getattr(c, "base", None))]
    return [Path(part.folder) for part in parts if getattr(part, "folder", None)]


def _provenance(plan: Plan, hash_large: bool, threads: int | None) -> list[dict[str, Any]]:
    """Where each input came from, with its hashes, which are found side by side."""
    with ThreadPoolExecutor(thread_count(threads)) as pool:
        return list(pool.map(lambda checkpoint: checkpoint.provenance(hash_large=hash_large), plan.checkpoints))


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
