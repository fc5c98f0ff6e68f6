"""What a result says of itself: the record of how it was made, the model card, and what it inherits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from ..catalog import METHODS
from ..checkpoints.results.card import model_card
from ..checkpoints.results.manifest import NAME, manifest
from ..checkpoints.tensors import Checkpoint
from ..errors import OutputError, without_secrets
from ..recipes.planning.describe import parameter_sets
from ..recipes.planning.plan import Plan
from .kept import Kept
from .options import thread_count
from .run import TensorReport


def record_of(plan: Plan, reports: Sequence[TensorReport], kept: Kept, *, hash_inputs: bool, threads: int | None) -> dict[str, Any]:
    """What was asked, what became of every tensor, and where each input came from."""
    sets, place = parameter_sets(plan.tensors)
    statistics = {"statistics": _provenance(plan.statistics, hash_inputs, threads)} if plan.statistics else {}
    return {
        "recipe": plan.recipe,
        "seed": plan.seed,
        "inputs": _provenance(plan.checkpoints, hash_inputs, threads),
        **statistics,
        "parameters": sets,
        "tensors": [asdict(r) | ({"parameters": place[r.name]} if r.name in place else {}) for r in reports],
        "dropped": dict(plan.dropped),
        "warnings": [*plan.warnings, *kept.warnings],
        **kept.records,
    }


def _provenance(checkpoints: Sequence[Checkpoint], hash_large: bool, threads: int | None) -> list[dict[str, Any]]:
    """Where each input came from, with its hashes, which are found side by side."""
    with ThreadPoolExecutor(thread_count(threads)) as pool:
        return list(pool.map(lambda checkpoint: checkpoint.provenance(hash_large=hash_large), checkpoints))


def side_files(plan: Plan, name: str, record: Mapping[str, Any]) -> dict[str, bytes]:
    """Everything beside the weights: config, tokenizer and its kin, card, record."""
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
        made=plan.made,
        licence=plan.licence,
        library="transformers" if plan.config and "model_type" in plan.config else None,
    ).encode()
    try:
        files[NAME] = (json.dumps(manifest(**record), indent=1) + "\n").encode()
    except TypeError as error:
        raise OutputError(f"{NAME}: the recipe holds a value that JSON cannot ({error})") from error
    return files
