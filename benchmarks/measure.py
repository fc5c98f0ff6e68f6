"""Run one whole process and say what it cost."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """wall, cpu: seconds from launch to exit, descendants included. peak: bytes resident in the largest process.

    The peak counts pages of mapped input files too, which the system takes back when it needs them.
    """

    wall: float
    cpu: float
    peak: int


def run_process(command: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> Cost:
    """Run the command to its end; SystemExit with the tail of its output when it fails.

    >>> run_process(["true"], cwd=Path(".")).wall < 5
    True
    """
    with tempfile.TemporaryFile() as output:
        begin = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        # wait4 and not child.wait(): only it hands over what the process and its descendants used
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            output.seek(0)
            tail = output.read().decode(errors="replace")[-3000:]
            raise SystemExit(f"{' '.join(command)} ended with {child.returncode}:\n{tail}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
