"""Named tensors, wherever they stand: what a checkpoint is, one whose tensors are computed on read, and how any is written.

The names are written in `__init__.pyi` and loaded when they are first used.
"""

from ..lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__, __file__, __package__)
