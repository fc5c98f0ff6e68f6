"""Ensembles of what models say: beside `blend` and the estimators, everything about predictions, maps, portfolios, prompts and bags.

The names are written in `predictions.pyi` and loaded when they are first used.
"""

from .lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__, __file__, __package__)
