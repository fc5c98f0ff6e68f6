"""A table as lines for a terminal, as Markdown and as HTML; columns of numbers are aligned to the right, all others to the left.

Where the lines would be longer than a terminal is wide, what all rows share is said once above, then words are broken at dots and blanks,
then columns move into a further block below. A number is never broken.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

GAP = 2
NARROW = 16
"""What a column of words may be narrowed to."""
LEADS = 2
"""How many columns of words stand in front of every block, at most."""
_VALUE = r"[-+]?(?:\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?|inf|nan)(?:x| ?[s%]| [kMGTP]?B)?"
_NUMBERS = re.compile(rf"-|{_VALUE}(?: to {_VALUE})?")
_SEAMS = re.compile(r"(?<=\s)|(?<=[.,/;])(?=\D)")
_FINE_SEAMS = re.compile(r"(?<=[_-])")

Rows = Sequence[Sequence[str]]


def as_lines(head: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "", width: int | None = None) -> list[str]:
    """The table as lines of text, as wide as it needs, or at most `width` where no single number is wider.

    >>> as_lines(("tensor", "bytes"), [("a", "1,000"), ("bias", "8")])
    ['tensor  bytes', 'a       1,000', 'bias        8']
    >>> for line in as_lines(("name", "type"), [("model.a.weight", "F32"), ("model.b.weight", "F32")], width=40):
    ...     print(line)
    name            type
    --------------------
    model.a.weight  F32
    model.b.weight  F32
    """
    table = _without_empty_columns([tuple(head), *(tuple(map(str, row)) for row in rows)])
    right = [_is_numbers(column[1:]) for column in zip(*table, strict=True)]
    lines = [title] if title else []
    if width is None:
        return lines + _aligned(table, right, _natural(table))
    told: list[str] = []
    for shorter in (_without_constants, _without_common_ends):
        if _total(_natural(table)) > width:
            table, more = shorter(table)
            told += more
    right = [_is_numbers(column[1:]) for column in zip(*table, strict=True)]
    if told:
        lines += textwrap.wrap("every row: " + "; ".join(told), width, subsequent_indent="  ", break_on_hyphens=False)
    for place, block in enumerate(_blocks(table, right, width)):
        lines += [""] * (place > 0)
        picked, ends = [[row[i] for i in block] for row in table], [right[i] for i in block]
        lines += _wrapped(picked, ends, _widths(_natural(picked), _least(picked, ends), width))
    return lines


def as_markdown(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The table in Markdown.

    >>> print(as_markdown(("name", "bytes"), [("a|b", "8")]), end="")
    | name | bytes |
    |---|---:|
    | a\\|b | 8 |
    """
    table = [[str(cell).replace("|", "\\|") for cell in row] for row in (head, *rows)]
    marks = ["---:" if _is_numbers(column[1:]) else "---" for column in zip(*table, strict=True)]
    first, *rest = ("| " + " | ".join(row) + " |\n" for row in table)
    return first + "|" + "|".join(marks) + "|\n" + "".join(rest)


def as_html(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The table in HTML, in a frame that scrolls sideways where it is too wide; a column of numbers has the class `number`.

    >>> as_html(("a",), [("<b>",)])
    '<div class="wide"><table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table></div>'
    """
    table = [tuple(map(str, row)) for row in (head, *rows)]
    marks = [' class="number"' * _is_numbers(column[1:]) for column in zip(*table, strict=True)]

    def line(row: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}{mark}>{escape(cell)}</{tag}>" for cell, mark in zip(row, marks, strict=True)) + "</tr>"

    body = "".join(line(row, "td") for row in table[1:])
    return f'<div class="wide"><table><thead>{line(table[0], "th")}</thead><tbody>{body}</tbody></table></div>'


def _is_numbers(column: Sequence[str]) -> bool:
    given = [cell for cell in column if cell]
    return any(cell != "-" for cell in given) and all(_NUMBERS.fullmatch(cell) for cell in given)


def _without_empty_columns(table: Rows) -> Rows:
    kept = [i for i in range(len(table[0])) if len(table) == 1 or any(row[i] for row in table[1:])]
    return [[row[i] for i in kept] for row in table]


def _without_constants(table: Rows) -> tuple[Rows, list[str]]:
    """The table without the columns that are equal in all rows, and what they say where it is anything."""
    head, *rows = table
    if len(rows) < 2:
        return table, []
    same = [i for i in range(1, len(head)) if len({row[i] for row in rows}) == 1]
    told = [f"{head[i]} {rows[0][i]}" for i in same if rows[0][i] != "-"]
    return [[row[i] for i in range(len(head)) if i not in same] for row in table], told


def _without_common_ends(table: Rows) -> tuple[Rows, list[str]]:
    """Dotted names in the first column without the words that all of them begin or end with, and what these are."""
    head, *rows = table
    names = [row[0].split(".") for row in rows]
    least = min(map(len, names), default=0) - 1
    if len(rows) < 2 or any(" " in row[0] for row in rows) or _is_numbers([row[0] for row in rows]):
        return table, []
    start = next((n for n in range(least) if len({name[n] for name in names}) > 1), least)
    end = next((n for n in range(least - start) if len({name[-1 - n] for name in names}) > 1), least - start)
    told = [f"begins with {'.'.join(names[0][:start])}."] if start else []
    told += [f"ends with .{'.'.join(names[0][-end:])}"] if end else []
    short = [[".".join(name[start : len(name) - end]), *row[1:]] for name, row in zip(names, rows, strict=True)]
    return [head, *short], [f"{head[0]} " + ", ".join(told)] if told else []


def _blocks(table: Rows, right: Sequence[bool], width: int) -> list[list[int]]:
    """Which columns stand side by side so that no line is longer than the width; the first words stand in every block."""
    least = _least(table, right)
    leads = min(max([*right, True].index(True), 1), LEADS)
    blocks = [list(range(leads))]
    for place in range(leads, len(right)):
        if len(blocks[-1]) > leads and _total([least[i] for i in (*blocks[-1], place)]) > width:
            blocks.append(list(range(leads)))
        blocks[-1].append(place)
    return blocks


def _widths(natural: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """The natural widths where there is room, otherwise the widest columns narrowed alike, none below its least."""

    def narrowed(level: int) -> list[int]:
        return [max(min(wide, level), low) for wide, low in zip(natural, least, strict=True)]

    return narrowed(next((level for level in range(width, 0, -1) if _total(narrowed(level)) <= width), 0))


def _natural(table: Rows) -> list[int]:
    return [max(map(_cells, column)) for column in zip(*table, strict=True)]


def _least(table: Rows, right: Sequence[bool]) -> list[int]:
    """How wide each column must be: a number and a word of a heading stay whole, other words may be broken from NARROW on."""
    columns = zip(*table, strict=True)
    whole = [max([*map(_cells, head.split()), *map(_cells, cells)]) for head, *cells in columns]
    return [width if end else min(width, NARROW) for width, end in zip(whole, right, strict=True)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _wrapped(table: Rows, right: Sequence[bool], widths: Sequence[int]) -> list[str]:
    """The lines of one block, with a rule below the headings; cells that are wider than their column take several."""
    broken = [[_broken(cell, width) for cell, width in zip(row, widths, strict=True)] for row in table]
    found: list[list[str]] = []
    for cells in broken:
        tall = max(map(len, cells))
        found += [[cell[i] if i < len(cell) else "" for cell in cells] for i in range(tall)]
    lines = _aligned(found, right, widths)
    tall = max(map(len, broken[0]))
    return [*lines[:tall], "-" * _total(widths), *lines[tall:]]


def _broken(cell: str, width: int) -> list[str]:
    """A cell in pieces of at most that width: cut after blanks and dots, a word that is longer after a dash, else anywhere."""
    pieces = [piece for piece in _SEAMS.split(cell) if piece]
    for cut in (_FINE_SEAMS.split, list):
        pieces = [part for piece in pieces for part in (cut(piece) if _cells(piece.rstrip()) > width else [piece])]
    lines = [""]
    for piece in pieces:
        if lines[-1] and _cells(lines[-1] + piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def _aligned(table: Rows, right: Sequence[bool], widths: Sequence[int]) -> list[str]:
    def line(row: Sequence[str]) -> str:
        gaps = [" " * (width - _cells(cell)) for cell, width in zip(row, widths, strict=True)]
        return (" " * GAP).join(gap + cell if end else cell + gap for cell, gap, end in zip(row, gaps, right, strict=True)).rstrip()

    return [line(row) for row in table]


def _cells(text: str) -> int:
    """How many places of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)
