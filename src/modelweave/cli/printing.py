"""What the commands print: lines, tables, JSON, warnings, and a progress bar."""

from __future__ import annotations

import json
import math
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from ..errors import printable
from ..text.json_text import strict
from ..text.tables import as_lines

Progress = Callable[[int, int], None]


def say(line: str = "") -> None:
    """One line on stdout, or several."""
    typer.echo("\n".join(map(printable, line.split("\n"))))


def warn(line: str) -> None:
    """One warning on stderr."""
    typer.echo(f"warning: {printable(line)}", err=True)


def show_table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "") -> None:
    """A table on stdout, within the width of a terminal; as wide as it needs elsewhere."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    for line in as_lines([printable(word) for word in head], cells, title=printable(title), width=terminal_width()):
        typer.echo(line)


def terminal_width() -> int | None:
    """How many places a line of stdout has; None where it is no terminal."""
    there = sys.stdout is not None and sys.stdout.isatty()
    return shutil.get_terminal_size().columns if there else None


def show_json(value: Any) -> None:
    """Strict JSON on stdout: what is not a finite number becomes null, and what a terminal would obey is escaped."""
    text = json.dumps(strict(value), indent=2, ensure_ascii=False, default=str)
    say("".join(letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in text))


def throttled(progress: Progress, seconds: float = 0.1, clock: Callable[[], float] = time.monotonic) -> Progress:
    """The same callback, called at most once in that time; from several threads a call more now and then does no harm."""
    due = -math.inf

    def call(done: int, total: int) -> None:
        nonlocal due
        now = clock()
        if now >= due:
            due = now + seconds
            progress(done, total)

    return call


@contextmanager
def progress_bar(label: str) -> Iterator[Progress | None]:
    """A bar with bytes, rate and time left on stderr; None when that is not a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich import progress as parts
    from rich.console import Console

    columns = (
        parts.TextColumn("{task.description}"),
        parts.BarColumn(),
        parts.DownloadColumn(),
        parts.TransferSpeedColumn(),
        parts.TimeRemainingColumn(),
    )
    with parts.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield throttled(lambda done, total: bar.update(task, completed=done, total=total))
