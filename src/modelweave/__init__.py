"""modelweave composes models: several trained models in, a better one out, and the evidence that it is better.

The names are written in `__init__.pyi` and loaded when they are first used, so that importing the package costs next to nothing.
What a family offers besides stands in its namespace: `modelweave.weights`, `.predictions`, `.training`, `.analysis`, `.checkpoints`,
`.networks`, `.evaluation`, `.statistics`.
"""

from .lazy import lazy
from .version import VERSION as __version__

__getattr__, __dir__, __all__ = lazy(__name__, __file__, __package__)
__all__ += ["__version__"]
