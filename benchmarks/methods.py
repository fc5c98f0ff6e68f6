"""The recipes that are timed. Those that go to mergekit too have the same text there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Timed:
    """A recipe. members: its models beside the base. reads_base: whether the base's weights are read as well.

    goal: how many times faster than mergekit it ought to be; None: not compared. floors: how many floors it may take beyond start-up.
    ratio: how many times linear's CPU seconds it may take.
    """

    goal: float | None
    each: str = ""
    shared: str = ""
    members: Sequence[str] = ("a", "b", "c")
    reads_base: bool = True
    names_base: bool = True
    floors: float | None = None
    ratio: float | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        return (("base",) if self.reads_base else ()) + tuple(self.members)

    def recipe(self, method: str) -> str:
        """The YAML, with model paths relative to the folder of the checkpoints."""
        lines = [f"merge_method: {method}", "dtype: bfloat16"]
        lines += ["base_model: base"] if self.names_base else []
        lines += [f"parameters: {{{self.shared}}}"] if self.shared else []
        lines.append("models:")
        for member in self.members:
            lines.append(f"  - model: {member}")
            lines += [f"    parameters: {{{self.each}}}"] if self.each else []
        return "\n".join(lines) + "\n"


METHODS = {
    "linear": Timed(6, "weight: 1.0", reads_base=False, names_base=False, floors=1.5),
    "task_arithmetic": Timed(5, "weight: 0.4"),
    "slerp": Timed(5, shared="t: 0.5", members=("base", "a"), reads_base=False),
    "model_stock": Timed(5),
    "ties": Timed(40, "weight: 1.0, density: 0.2", floors=3),
    "dare_ties": Timed(25, "weight: 0.4, density: 0.5"),
    "breadcrumbs": Timed(40, "weight: 0.4, density: 0.9, gamma: 0.01"),
    "sce": Timed(40, shared="select_topk: 0.2"),
    "della": Timed(40, "weight: 0.4, density: 0.5, epsilon: 0.15", ratio=5),
    "magmax": Timed(None, ratio=4),
    "nearswap": Timed(None, shared="t: 0.0005", members=("a",), ratio=4),
    "ram": Timed(None, ratio=4),
    "ramplus_tl": Timed(None, ratio=4),
    "consensus": Timed(None, "weight: 0.4", ratio=4),
    "emr": Timed(None, ratio=4),
    "cabs": Timed(None, "weight: 0.4", ratio=5),
    "arcee_fusion": Timed(None, members=("a",), ratio=5),
    "pcb": Timed(None, "weight: 0.4", ratio=8),
}
