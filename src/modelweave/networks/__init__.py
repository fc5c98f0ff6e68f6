"""Live networks: loaded, fed, asked, trained, averaged and seen as a list of stages.

No family writes a training loop, a seed dance or a loader of its own; it calls these. The names are written in `__init__.pyi`.
"""

from ..lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__, __file__, __package__)
