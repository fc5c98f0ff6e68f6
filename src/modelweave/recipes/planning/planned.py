"""Results that do not exist yet, so that documents which use earlier ones can be planned from headers too."""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...checkpoints.dtypes import Bytes
from ...checkpoints.results.manifest import NAME
from ...checkpoints.tensors import Checkpoint, TensorRef
from ...errors import CheckpointError, MissingExtraError, ModelweaveError
from ...weights.method import Method
from ..language.document import Document
from .build import build_plan
from .plan import Plan


class PlannedTensor(TensorRef):
    """A tensor of a result that is not merged yet: it has a shape and a type, but no values."""

    def read_into(self, start: int, out: Bytes) -> None:
        raise CheckpointError(f"{self.name}: belongs to a result that is not merged yet; merge the earlier document first")


class PlannedCheckpoint(Checkpoint):
    """The result of a plan before it is merged."""

    def __init__(self, plan: Plan, label: str) -> None:
        tensors = {t.name: PlannedTensor(t.name, t.shape, t.dtype) for t in plan.tensors}
        donor = plan.donor
        aliases = {} if donor is None else {name: to for name, to in donor.aliases.items() if to in tensors and name not in tensors}
        buffers = frozenset() if donor is None else donor.buffers
        super().__init__(label, tensors, config=dict(plan.config) if plan.config is not None else None, aliases=aliases, buffers=buffers)
        self._files = dict(plan.side_files) | {NAME: json.dumps(_states(plan)).encode()}

    def side_files(self) -> tuple[str, ...]:
        return tuple(self._files)

    def side_file(self, name: str) -> bytes:
        return self._files[name]


def _states(plan: Plan) -> dict[str, Any]:
    """What stands in for the records from which a later merge goes on."""
    methods = {tensor.method.name: tensor.method for tensor in plan.tensors if tensor.method is not None}
    return {name: dict(method.over_model.unknown) for name, method in sorted(methods.items()) if method.over_model is not None}


@contextmanager
def in_document(name: str | None) -> Iterator[None]:
    """Errors say in which document of several they are."""
    try:
        yield
    except MissingExtraError:
        raise
    except ModelweaveError as error:
        raise (type(error)(f"document '{name}': {error}") if name is not None else error) from error.__cause__


def plan_documents(
    documents: Sequence[Document],
    *,
    near: str | Path | None = None,
    opened: MutableMapping[str, Checkpoint] | None = None,
    seed: int | None = None,
    methods: Mapping[str, Method] | None = None,
) -> tuple[Plan, ...]:
    """The plans of a file's documents, in the order of `load_recipe`; earlier results stand in as headers for later ones.

    The rest as for `build_plan`.
    """
    planned: dict[str, Checkpoint] = {}
    known, needed = ChainMap({} if opened is None else opened, planned), ancestors(documents)
    plans = []
    for number, document in enumerate(documents):
        with in_document(document.name if len(documents) > 1 else None):
            plan = build_plan(document, near=near, opened=known, seed=seed, methods=methods)
        if number < len(documents) - 1 and number not in needed:
            plan = replace(plan, warnings=(*plan.warnings, not_needed(document)))
        plans.append(plan)
        if document.name is not None:
            planned[document.name] = PlannedCheckpoint(plan, document.name)
    return tuple(plans)


def ancestors(documents: Sequence[Document]) -> tuple[int, ...]:
    """Which documents' results the last one is made of, in the order of `load_recipe`."""
    names = set(documents[-1].needs)
    for document in reversed(documents):
        if document.name in names:
            names.update(document.needs)
    return tuple(number for number, document in enumerate(documents[:-1]) if document.name in names)


def not_needed(document: Document) -> str:
    """What the user should know of a document that the last one does not use."""
    return f"document '{document.name}' is not used for the last one and is not merged"
