"""A line on the terminal: how far a run is, and how long it will take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_line(shown: bool, total: int | None, done: int, words: str = "training") -> Iterator[Callable[[int, str], None]]:
    """A function (done, note) that updates the line. total: None where it is not known; then the line counts."""
    if not shown:
        yield lambda _done, _note: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True)) as bar:
        line = bar.add_task(words, total=total, completed=done, note="")
        yield lambda now, note: bar.update(line, completed=now, note=note)
