"""Whether a merge was worth it: soups chosen by a score, and advice on what to try.

The names are written in `__init__.pyi` and loaded when they are first used.
"""

from ..lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__, __file__, __package__)
