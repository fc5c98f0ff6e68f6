"""From a recipe to a folder: plan, lock, compute, describe, and let the result appear whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..checkpoints.card import model_card
from ..checkpoints.folder import FolderSink, refuse_inside
from ..checkpoints.manifest import manifest, without_secrets
from ..checkpoints.open import open_checkpoint
from ..errors import OutputError
from ..recipes.build import build_plan
from ..recipes.load import load_recipe
from ..recipes.plan import Plan
from ..recipes.planned import plan_documents
from .run import Progress, TensorReport, run
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
    shard_size: int = SHARD,
    memory: int = 1 << 30,
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
    path, out = Path(recipe), Path(out)
    documents = load_recipe(path, sets)
    if len(documents) > 1:
        plan_documents(documents, near=path.parent, seed=seed)  # so that an error in a later one is found before the first is merged
    options: dict[str, Any] = {
        "shard_size": shard_size,
        "memory": memory,
        "threads": threads,
        "device": device,
        "allow_nonfinite": allow_nonfinite,
        "hash_inputs": hash_inputs,
        "sync": sync,
        "progress": progress,
    }
    stages = out.parent / f".{out.name}.stages"
    opened: dict[str, Any] = {}
    for document in documents[:-1]:
        folder = stages / str(document.name)
        if not (resume and (folder / "modelweave.json").is_file()):
            if folder.exists() and not resume:
                shutil.rmtree(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            write_plan(build_plan(document, near=path.parent, opened=opened, seed=seed), folder, resume=resume, **options)
        opened[str(document.name)] = open_checkpoint(folder, label=str(document.name))
    result = write_plan(build_plan(documents[-1], near=path.parent, opened=opened, seed=seed), out, resume=resume, **options)
    if stages.exists():
        shutil.rmtree(stages)
    return result


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
    progress: Progress | None = None,
) -> MergeResult:
    """Run a plan into a folder that appears under its name only when it is whole.

    hash_inputs: read files of 256 MiB and more once again for their SHA-256, in the record. sync: force everything to the disk before the
    folder appears, so that a power cut leaves no less than a kill does.
    """
    out = Path(out)
    began = time.time()
    seed = plan.seed if seed is None else seed
    refuse_inside(out, [p for c in plan.checkpoints if (p := local_folder(c)) is not None])
    specs = [(t.name, t.shape, t.dtype) for t in plan.tensors]
    kept = Kept()
    with FolderSink(out, specs, fingerprint=fingerprint(plan, seed), shard_size=shard_size, resume=resume, sync=sync) as sink:
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
        inputs = _provenance(plan, hash_inputs, threads)
        for name, content in _side_files(plan, out.name, reports, inputs, seed, time.time() - began, kept).items():
            sink.write_file(name, content)
        sink.commit()
        notice = getattr(sink, "notice", None)
    written = sum(f.stat().st_size for f in out.iterdir() if f.is_file())
    warnings = (*plan.warnings, *kept.warnings, *([notice] if notice else []))
    return MergeResult(out, tuple(reports), dict(plan.dropped), warnings, written, time.time() - began)


def fingerprint(plan: Plan, seed: int) -> str:
    """What a resumed run must find unchanged: the recipe as resolved, the seed and the inputs."""
    inputs = [c.fingerprint() if hasattr(c, "fingerprint") else c.label for c in plan.checkpoints]
    text = json.dumps([plan.recipe, seed, inputs, [t.name for t in plan.tensors]], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def local_folder(checkpoint: Any) -> Path | None:
    """The folder of a checkpoint on this machine's disk."""
    folder = getattr(checkpoint, "folder", None)
    return Path(folder) if folder else None


def _provenance(plan: Plan, hash_large: bool, threads: int | None) -> list[dict[str, Any]]:
    """Where each input came from, with its hashes, which are found side by side."""
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        return list(pool.map(lambda checkpoint: checkpoint.provenance(hash_large=hash_large), plan.checkpoints))


def _side_files(
    plan: Plan,
    name: str,
    reports: Sequence[TensorReport],
    inputs: Sequence[Mapping[str, Any]],
    seed: int,
    seconds: float,
    kept: Kept,
) -> dict[str, bytes]:
    """Everything beside the weights: config, tokenizer and its kin, card, manifest."""
    files = dict(plan.side_files)
    if plan.config is not None:
        files["config.json"] = (json.dumps(plan.config, indent=2) + "\n").encode()
    used = {t.method.name: t.method for t in plan.tensors if t.method is not None}
    files["README.md"] = model_card(
        name=name,
        recipe=plan.recipe,
        labels=[without_secrets(c.label) for c in plan.checkpoints],
        methods=[(m.title, m.formula, m.source) for m in used.values()],
        licence=plan.licence,
        library="transformers" if plan.config and "model_type" in plan.config else None,
    ).encode()
    record = manifest(
        recipe=plan.recipe,
        inputs=inputs,
        tensors=[asdict(r) for r in reports],
        seed=seed,
        seconds=seconds,
        dropped=dict(plan.dropped),
        warnings=[*plan.warnings, *kept.warnings],
        **kept.records,
    )
    try:
        files["modelweave.json"] = (json.dumps(record, indent=1) + "\n").encode()
    except TypeError as error:
        raise OutputError(f"modelweave.json: the recipe holds a value that JSON cannot ({error})") from error
    return files
