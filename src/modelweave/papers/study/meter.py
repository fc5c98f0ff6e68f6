"""How long something took and how much memory it needed beyond what was there."""

from __future__ import annotations

import gc
import time
from pathlib import Path
from types import TracebackType

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Meter:
    """A context; afterwards `seconds`, and `megabytes`: the peak of resident memory above that at the start, None where no one counts it.

    tracemalloc knows nothing of tensors, and a process's highest peak hides all lower ones after it; Linux lets it be set back. Free
    memory that the allocator still holds is used first and does not count.
    """

    seconds = 0.0
    megabytes: float | None = None

    def __enter__(self) -> Meter:
        # what is let go later must not be what others have left behind
        gc.collect()
        self._start = _resident("VmRSS") if _set_back() else None
        self._began = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.seconds = time.perf_counter() - self._began
        peak = _resident("VmHWM")
        if self._start is not None and peak is not None:
            self.megabytes = max(0.0, (peak - self._start) / 1024)


def _set_back() -> bool:
    """Set the peak of resident memory back to what it is now."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _resident(word: str) -> float | None:
    """In KiB."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) for line in lines if line.startswith(word + ":")), None)
