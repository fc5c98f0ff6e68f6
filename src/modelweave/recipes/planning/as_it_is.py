"""The plan that writes a checkpoint as it is, whatever computes its tensors when they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...checkpoints.tensors import Checkpoint
from .inherit import inherited_files, joint_licence
from .plan import Plan, TensorPlan


def plan_checkpoint(checkpoint: Checkpoint, record: Mapping[str, Any], *, made: str, seed: int = 0) -> Plan:
    """record: how it was made. made: the same in one sentence. Config and side files are the checkpoint's, its parts are the inputs."""
    inputs = checkpoint.parts() or (checkpoint,)
    licence, warnings = joint_licence(inputs)
    return Plan(
        tensors=tuple(
            TensorPlan(name, ref.shape, ref.stored, None, (ref,), labels=(checkpoint.label,)) for name, ref in checkpoint.items()
        ),
        checkpoints=inputs,
        recipe=record,
        donor=checkpoint,
        config=checkpoint.config,
        side_files=inherited_files(checkpoint),
        dropped={f"{checkpoint.label}: {name}": reason for name, reason in checkpoint.ignored.items()},
        warnings=(*checkpoint.warnings, *warnings),
        licence=licence,
        seed=seed,
        made=made,
    )
