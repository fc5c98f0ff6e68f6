"""Tables, JSON, warnings and the progress bar: rich on a terminal, plain wide text elsewhere."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer

Progress = Callable[[int, int], None]


def say(line: str = "") -> None:
    """One line on stdout."""
    typer.echo(line)


def warn(line: str) -> None:
    """One warning on stderr."""
    typer.echo(f"warning: {line}", err=True)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "") -> None:
    """A table on stdout; a column whose name begins with ">" is aligned to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _rich_table(columns, cells, title)
    else:
        for line in plain_table(columns, cells, title):
            say(line)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> list[str]:
    """The lines of a table in aligned text, as wide as it needs.

    >>> plain_table(["name", ">bytes"], [["a", "100"], ["bias", "8"]])
    ['name  bytes', 'a       100', 'bias      8']
    """
    right = [column.startswith(">") for column in columns]
    lines = [[column.removeprefix(">") for column in columns], *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        [cell.rjust(width) if end else cell.ljust(width) for cell, width, end in zip(line, widths, right, strict=True)] for line in lines
    ]
    return [*([title] if title else []), *("  ".join(line).rstrip() for line in padded)]


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False, collapse_padding=True)
    needed = 1
    for place, column in enumerate(columns):
        head, right = column.removeprefix(">"), column.startswith(">")
        # a number that is broken over two lines is misread; texts and headings may be
        widest = max(map(len, [*head.split(), *(row[place] for row in rows)]), default=0)
        least = widest if right else min(widest, 16)
        needed += least + 2
        table.add_column(head, justify="right" if right else "left", overflow="fold", min_width=least)
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    # the terminal breaks lines that are too long; rich would leave out columns
    console.width = max(console.width, needed)
    console.print(table)


def show_json(value: Any) -> None:
    """Strict JSON on stdout: what is not a finite number becomes null."""
    say(json.dumps(strict(value), indent=2, ensure_ascii=False, default=str))


def strict(value: Any) -> Any:
    """The same data with null for NaN and infinity.

    >>> strict({"a": [1.0, float("nan")]})
    {'a': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): strict(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(value: float | None) -> str:
    """Four digits; "-" where there is no number."""
    return "-" if value is None else f"{value:.4g}"


def percent(share: float | None) -> str:
    """A share in per cent, without the sign; "-" where there is none."""
    return "-" if share is None else f"{100 * share:.1f}"


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
    if not sys.stderr.isatty():
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
