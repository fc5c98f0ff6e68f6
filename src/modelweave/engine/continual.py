"""Models that arrive one at a time, merged as they come, in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..catalog import method as row_of
from ..checkpoints.decode import as_torch
from ..checkpoints.memory import MemoryCheckpoint, open_mapping
from ..checkpoints.open import open_checkpoint
from ..checkpoints.results.manifest import NAME
from ..checkpoints.results.memory_sink import MemorySink
from ..errors import ParameterError
from ..recipes.planning.in_memory import plan_members
from .kept import Kept
from .members import tell, with_aliases
from .options import Progress, RunOptions
from .run import run

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .given import Model


class Continual:
    """A merge to which each new model is added at the same cost, however many there were before.

    Only the base and the merge so far are kept. With folders no class is needed: list the earlier result, written with out_dtype float32,
    as the first model.

    Args:
        base: a checkpoint, or what `open_checkpoint` opens.
        method: one that goes on from its own result, as opcm does.
        seed: of random methods.
        parameters: the method's, but for scale.

    Attributes:
        merged: the state dict so far in float32 or wider, so that nothing is rounded between arrivals; empty before the first.
        record: what a result's manifest would keep: count, lambda and norm.

    Raises:
        ParameterError: for another method, and for scale.

    >>> import torch
    >>> from modelweave import Continual
    >>> stream = Continual({"w": torch.zeros(2)})
    >>> for arrived in ([3.0, 0.0], [0.0, 4.0]):
    ...     state = stream.add({"w": torch.tensor(arrived)})
    >>> state["w"], stream.record["count"]
    (tensor([2.1000, 2.8000]), 2)
    """

    def __init__(self, base: Model, *, method: str = "opcm", seed: int = 0, **parameters: Any) -> None:
        if row_of(method).over_model is None:
            raise ParameterError(f"Continual: {method} cannot go on from its own result; take opcm, or merge all models at once")
        if row_of(method).scale_words & parameters.keys():
            raise ParameterError("Continual: a merge goes on from a result of full scale; leave scale out")
        self.base = open_checkpoint(base)
        self.method, self.seed, self.parameters = method, seed, parameters
        self.merged: dict[str, Tensor] = {}
        self.record: Mapping[str, Any] = {}

    def add(
        self,
        model: Model,
        *,
        threads: int | None = None,
        memory: int | str = "1GiB",
        device: str | torch.device = "cpu",
        allow_nonfinite: bool = False,
        progress: Progress | None = None,
    ) -> dict[str, Tensor]:
        """Merge one more model.

        Args:
            model: path, hub id, module or state dict.
            threads: workers; None: one a core.
            memory: for buffers and statistics, bytes or a size.
            device: `cpu` or `cuda`, where methods on whole matrices are computed.
            allow_nonfinite: whether inputs may hold NaN or infinity.
            progress: called with what is done and what there is to do, in bytes.

        Returns:
            `merged`.
        """
        options = RunOptions.given(
            threads=threads, memory=memory, device=device, allow_nonfinite=allow_nonfinite, seed=self.seed, progress=progress
        )
        named = isinstance(model, (str, os.PathLike))
        arrived = open_checkpoint(model, label=None if named else f"model {int(self.record.get('count', 0)) + 1}")
        earlier = [_Earlier(self._state(), {self.method: self.record})] if self.merged else []
        plan = plan_members([*earlier, arrived], method=self.method, base=self.base, parameters=self.parameters, seed=self.seed)
        tell(plan.warnings)
        tensors = [t if t.method is None else replace(t, dtype="F64" if t.wide else "F32") for t in plan.tensors]
        sink, kept = MemorySink((t.name, t.shape, t.dtype) for t in tensors), Kept()
        run(tensors, sink, options, kept=kept)
        merged = {t.name: as_torch(sink.data[t.name], t.shape, t.dtype) for t in tensors}
        self.merged = with_aliases(merged, self.base.aliases)
        self.record = kept.records[self.method]
        return self.merged

    def _state(self) -> dict[str, Tensor]:
        """The merge so far, each tensor once."""
        return {name: tensor for name, tensor in self.merged.items() if name not in self.base.aliases}


class _Earlier(MemoryCheckpoint):
    """The merge so far; it shows its record as a result's folder does."""

    def __init__(self, state: Mapping[str, Any], records: Mapping[str, Any]) -> None:
        super().__init__("the merge so far", dict(open_mapping(state)))
        self._record = json.dumps(records).encode()

    def side_files(self) -> tuple[str, ...]:
        return (NAME,)

    def side_file(self, name: str) -> bytes:
        return self._record
