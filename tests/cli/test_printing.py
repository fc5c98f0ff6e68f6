"""Tables on a terminal and elsewhere; the bar's throttle."""

from __future__ import annotations

import io
import json

import pytest

from modelweave.cli import printing


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_plain_tables_are_never_cut(capsys):
    printing.show_table(["a", ">b"], [["x" * 300, "[bold]1"]])
    assert capsys.readouterr().out.splitlines() == ["a" + " " * 307 + "b", "x" * 300 + "  [bold]1"]


def test_tables_on_a_terminal_show_markup_as_text(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    printing.show_table(["name"], [["[red]w[/red]"]], title="title")
    assert "[red]w[/red]" in terminal.getvalue() and "title" in terminal.getvalue()


def test_numbers_are_not_broken_on_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    printing.show_table(["name", ">one two", ">three"], [["long " * 20, "123,456,789", "0.123456789"]])
    assert "123,456,789" in terminal.getvalue() and "0.123456789" in terminal.getvalue()
    columns, row = [f">c{i}" for i in range(20)], [f"{i}.2345678" for i in range(20)]
    printing.show_table(columns, [row])
    assert all(cell in terminal.getvalue() for cell in row)


def test_json_is_strict(capsys):
    printing.show_json({"a": [float("inf"), 1.5, (2,)]})
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5, [2]]}


def test_throttled():
    now, seen = [0.0], []
    call = printing.throttled(lambda done, total: seen.append(done), 0.1, lambda: now[0])
    for step in range(1000):
        now[0] = step / 1000
        call(step, 1000)
    # a second of calls, one every 0.1
    assert seen == pytest.approx(list(range(0, 1000, 100)), abs=1) and len(seen) == 10


def test_the_bar_is_on_stderr_and_only_on_a_terminal(monkeypatch, capsys):
    with printing.progress_bar("merging") as progress:
        assert progress is None
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with printing.progress_bar("merging") as progress:
        progress(50, 100)
    assert "merging" in terminal.getvalue() and capsys.readouterr().out == ""
