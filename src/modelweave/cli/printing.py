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

from ..errors import printable

Progress = Callable[[int, int], None]
NARROW = 16
"""What a column of text may be narrowed to on a terminal, where its lines are then broken."""
GAP = 2
LEADS = 2
"""How many columns of text stand in front of every block of a table that is too wide, at most."""


def say(line: str = "") -> None:
    """One line on stdout, or several."""
    typer.echo("\n".join(map(printable, line.split("\n"))))


def warn(line: str) -> None:
    """One warning on stderr."""
    typer.echo(f"warning: {printable(line)}", err=True)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "") -> None:
    """A table on stdout; a column whose name begins with ">" is aligned to the right."""
    columns, title = [printable(column) for column in columns], printable(title)
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    if sys.stdout is not None and sys.stdout.isatty():
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
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    console = Console()
    room, right = console.width, [column.startswith(">") for column in columns]
    heads = [column.removeprefix(">") for column in columns]
    cells = [max((cell_len(row[place]) for row in rows), default=0) for place in range(len(columns))]
    natural = [max(cell_len(head), cell) for head, cell in zip(heads, cells, strict=True)]
    # a number that is broken over two lines is misread; texts and headings may be
    whole = [max([cell, *map(cell_len, head.split())]) for head, cell in zip(heads, cells, strict=True)]
    least = [width if end else min(width, NARROW) for width, end in zip(whole, right, strict=True)]
    leads = min(max([*right, True].index(True), 1), LEADS)
    if title:
        console.print(Text(title, "table.title"))
    for place, block in enumerate(column_blocks(least, leads, room)):
        if place:
            console.print()
        widths = column_widths([natural[i] for i in block], [least[i] for i in block], room)
        picked = [[row[i] for i in block] for row in (heads, *rows)]
        _print_block(console, picked, widths, [right[i] for i in block])


def _print_block(console: Any, lines: Sequence[Sequence[str]], widths: Sequence[int], right: Sequence[bool]) -> None:
    """Some columns of a table side by side. lines: the headings first."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0))
    for head, width, end in zip(lines[0], widths, right, strict=True):
        table.add_column(Text(head), justify="right" if end else "left", overflow="fold", width=width)
    for line in lines[1:]:
        table.add_row(*map(Text, line))
    console.width = max(console.width, sum(width + GAP for width in widths))
    console.print(table, crop=False)


def column_blocks(widths: Sequence[int], leads: int, room: int) -> list[list[int]]:
    """Which columns stand side by side so that no line is longer than the room; the first `leads` columns stand in every block.

    >>> column_blocks([5, 8, 8, 8], 1, 27)
    [[0, 1, 2], [0, 3]]
    """
    blocks = [list(range(leads))]
    for place in range(leads, len(widths)):
        if len(blocks[-1]) > leads and sum(widths[i] + GAP for i in (*blocks[-1], place)) > room:
            blocks.append(list(range(leads)))
        blocks[-1].append(place)
    return blocks


def column_widths(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """The natural widths where the room allows, otherwise the widest columns narrowed alike, none below its least.

    >>> column_widths([5, 40, 60], [5, 16, 16], 71)
    [5, 30, 30]
    """

    def narrowed(level: int) -> list[int]:
        return [max(min(wide, level), low) for wide, low in zip(natural, least, strict=True)]

    fitting = (level for level in range(room, 0, -1) if sum(width + GAP for width in narrowed(level)) <= room)
    return narrowed(next(fitting, 0))


def show_json(value: Any) -> None:
    """Strict JSON on stdout: what is not a finite number becomes null, and what a terminal would obey is escaped."""
    text = json.dumps(strict(value), indent=2, ensure_ascii=False, default=str)
    say("".join(letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in text))


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


def fixed(value: float | None, digits: int = 3) -> str:
    """So many decimals, in which zero has no sign; "-" where there is no number.

    >>> fixed(-0.0001522), fixed(0.25), fixed(None)
    ('0.000', '0.250', '-')
    """
    # adding 0 turns -0 into 0
    return "-" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


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
