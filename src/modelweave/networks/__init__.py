"""Live networks: loaded, fed, asked, trained, averaged and seen as a list of stages.

No family writes a training loop, a seed dance or a loader of its own; it calls these. The names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batches import Batches as Batches
    from .fitting import Fitted as Fitted
    from .fitting import Report as Report
    from .fitting import fit as fit
    from .fitting import supervised as supervised
    from .inference import forward as forward
    from .inference import stream as stream
    from .modes import evaluating as evaluating
    from .seeds import seeded as seeded
    from .states import average as average
    from .states import copied as copied
    from .states import difference as difference
    from .states import flat as flat
    from .states import reestimate_batchnorm as reestimate_batchnorm
    from .states import shifted as shifted
    from .states import unflat as unflat

_HOMES = {
    "Batches": "batches",
    "Fitted": "fitting",
    "Report": "fitting",
    "fit": "fitting",
    "supervised": "fitting",
    "forward": "inference",
    "stream": "inference",
    "evaluating": "modes",
    "seeded": "seeds",
    "average": "states",
    "copied": "states",
    "difference": "states",
    "flat": "states",
    "reestimate_batchnorm": "states",
    "shifted": "states",
    "unflat": "states",
}

__all__ = list(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
