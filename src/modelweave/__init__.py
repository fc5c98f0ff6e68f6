"""modelweave composes models: several trained models in, a better one out, and the evidence that it is better.

The names below are loaded when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import VERSION as __version__

if TYPE_CHECKING:
    from .analysis.smoothers.effective import effective_parameters as effective_parameters
    from .catalog import LEARNERS as LEARNERS
    from .catalog import METHODS as METHODS
    from .checkpoints.open import open_checkpoint as open_checkpoint
    from .engine.continual import Continual as Continual
    from .engine.documents import merge_recipe as merge_recipe
    from .engine.members import Prepared as Prepared
    from .engine.members import merge as merge
    from .engine.members import prepare as prepare
    from .engine.merge import MergeResult as MergeResult
    from .engine.recover import member_masks as member_masks
    from .engine.recover import recover as recover
    from .errors import ModelweaveError as ModelweaveError
    from .evaluation.greedy_soup import greedy_soup as greedy_soup
    from .outputs.estimators.blend import BlendClassifier as BlendClassifier
    from .outputs.estimators.blend import BlendRegressor as BlendRegressor
    from .outputs.estimators.repeated_folds import RepeatedFoldClassifier as RepeatedFoldClassifier
    from .outputs.estimators.repeated_folds import RepeatedFoldRegressor as RepeatedFoldRegressor
    from .outputs.estimators.stack import StackClassifier as StackClassifier
    from .outputs.estimators.stack import StackRegressor as StackRegressor
    from .outputs.estimators.text_table import TextTableClassifier as TextTableClassifier
    from .outputs.estimators.text_table import TextTableRegressor as TextTableRegressor
    from .outputs.geolocation.recall_vs_area import recall_vs_area as recall_vs_area
    from .outputs.portfolios.universal_mixture import UniversalMixture as UniversalMixture
    from .outputs.portfolios.universal_mixture import universal_mixture as universal_mixture
    from .outputs.predictions.blend import blend as blend
    from .outputs.predictions.blended import Blend as Blend
    from .outputs.prompts.prompt_weights import prompt_weights as prompt_weights
    from .outputs.splits import Split as Split
    from .training.ens_loss import EnsLoss as EnsLoss

_HOMES = {
    "effective_parameters": "analysis.smoothers.effective",
    "LEARNERS": "catalog",
    "METHODS": "catalog",
    "open_checkpoint": "checkpoints.open",
    "Continual": "engine.continual",
    "merge_recipe": "engine.documents",
    "Prepared": "engine.members",
    "merge": "engine.members",
    "prepare": "engine.members",
    "MergeResult": "engine.merge",
    "member_masks": "engine.recover",
    "recover": "engine.recover",
    "ModelweaveError": "errors",
    "greedy_soup": "evaluation.greedy_soup",
    "BlendClassifier": "outputs.estimators.blend",
    "BlendRegressor": "outputs.estimators.blend",
    "RepeatedFoldClassifier": "outputs.estimators.repeated_folds",
    "RepeatedFoldRegressor": "outputs.estimators.repeated_folds",
    "StackClassifier": "outputs.estimators.stack",
    "StackRegressor": "outputs.estimators.stack",
    "TextTableClassifier": "outputs.estimators.text_table",
    "TextTableRegressor": "outputs.estimators.text_table",
    "recall_vs_area": "outputs.geolocation.recall_vs_area",
    "UniversalMixture": "outputs.portfolios.universal_mixture",
    "universal_mixture": "outputs.portfolios.universal_mixture",
    "blend": "outputs.predictions.blend",
    "Blend": "outputs.predictions.blended",
    "prompt_weights": "outputs.prompts.prompt_weights",
    "Split": "outputs.splits",
    "EnsLoss": "training.ens_loss",
}

__all__ = [*_HOMES, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        try:
            return getattr(import_module(f".{_HOMES[name]}", __name__), name)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in ("sklearn", "scipy", "pandas"):
                raise
            from .errors import MissingExtraError

            raise MissingExtraError("scikit-learn", "tabular") from None
    raise AttributeError(f"module 'modelweave' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
