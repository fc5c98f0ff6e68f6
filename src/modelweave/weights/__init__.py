"""Merging weights: the methods' table, and what Python code needs beside `merge`, `prepare` and `merge_recipe`.

The names are written in `__init__.pyi` and loaded when they are first used.
"""

from ..lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__, __file__, __package__)
