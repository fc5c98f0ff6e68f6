"""The best weights of a run, by a score."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from .modes import evaluating
from .states import average, copied


class Best:
    """Up to `keep` best states of a network by a score, lower is better, the first of equals."""

    def __init__(self, score: Callable[[nn.Module], float] | None, keep: int = 1) -> None:
        self.score, self.keep = score, keep
        self.scores: list[float] = []
        self.kept: list[tuple[float, int, dict[str, Tensor]]] = []
        self.waited = 0
        """So many scores in a row were no better than the best."""

    def look(self, network: nn.Module) -> float | None:
        """Score the network, and keep its weights where they are among the best."""
        if self.score is None:
            return None
        with evaluating(network):
            score = float(self.score(network))
        least = self.kept[0][0] if self.kept else math.inf
        self.waited = 0 if score < least else self.waited + 1
        if not math.isnan(score):
            entry = (score, len(self.scores), copied(network.state_dict()))
            self.kept = sorted([*self.kept, entry], key=lambda kept: kept[:2])[: self.keep]
        self.scores.append(score)
        return score

    def restore(self, network: nn.Module) -> None:
        """Give the network the best weights, or the mean of the best; nothing where there was no score."""
        if self.kept:
            network.load_state_dict(average([state for *_, state in self.kept]))

    def state(self) -> dict[str, Any]:
        return {"scores": self.scores, "kept": self.kept, "waited": self.waited}

    def load(self, state: dict[str, Any]) -> None:
        self.scores, self.kept, self.waited = state["scores"], state["kept"], state["waited"]
