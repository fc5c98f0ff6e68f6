"""Tables on a terminal and elsewhere; the bar's throttle."""

from __future__ import annotations

import json

import pytest

from modelweave.cli import printing

from .helpers import Terminal, terminal


def test_plain_tables_are_never_cut(capsys):
    printing.show_table(["a", ">b"], [["x" * 300, "[bold]1"]])
    assert capsys.readouterr().out.splitlines() == ["a" + " " * 307 + "b", "x" * 300 + "  [bold]1"]


def test_tables_on_a_terminal_show_markup_as_text(monkeypatch):
    stdout = terminal(monkeypatch)
    printing.show_table(["name"], [["[red]w[/red]"]], title="title")
    assert "[red]w[/red]" in stdout.getvalue() and "title" in stdout.getvalue()


def test_numbers_are_not_broken_on_a_narrow_terminal(monkeypatch):
    stdout = terminal(monkeypatch, 40)
    printing.show_table(["name", ">one two", ">three"], [["long " * 20, "123,456,789", "0.123456789"]])
    assert "123,456,789" in stdout.getvalue() and "0.123456789" in stdout.getvalue()
    columns, row = [f">c{i}" for i in range(20)], [f"{i}.2345678" for i in range(20)]
    printing.show_table(columns, [row])
    assert all(cell in stdout.getvalue() for cell in row)


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_a_table_that_is_too_wide_stands_in_blocks_that_fit(width, monkeypatch):
    stdout = terminal(monkeypatch, width)
    numbers = [[f"{row}.{place:06}" for place in range(12)] for row in range(2)]
    columns = ["layer", "module", *(f">share of {place}" for place in range(12))]
    printing.show_table(columns, [["0", "model.embed_tokens.of.a.long.name", *numbers[0]], ["1", "b", *numbers[1]]], title="wide")
    lines = stdout.getvalue().splitlines()
    assert max(map(len, lines)) <= width and lines[0] == "wide" and lines.count("wide") == 1
    words = stdout.getvalue().split()
    assert all(words.count(number) == 1 for row in numbers for number in row)
    assert words.count("layer") == words.count("module") > 1


def test_a_table_with_room_is_not_broken(monkeypatch):
    stdout = terminal(monkeypatch, 100)
    printing.show_table(["method", ">norm of change"], [["x" * 60, "1.5"]])
    assert [line.rstrip() for line in stdout.getvalue().splitlines()] == [
        "method" + " " * 56 + "norm of change",
        "─" * 76,
        "x" * 60 + " " * 13 + "1.5",
    ]


STRANGE = "a\x1b]0;owned\x07\nb\u202ec\x9b"


@pytest.mark.parametrize("there", [False, True])
def test_what_a_terminal_would_obey_is_shown_as_question_marks(there, monkeypatch, capsys):
    stdout = terminal(monkeypatch) if there else None
    printing.show_table(["name", ">b"], [[STRANGE, "10"], ["x", "9"]], title="of " + STRANGE)
    shown = stdout.getvalue() if stdout else capsys.readouterr().out
    lines = [line.rstrip() for line in shown.splitlines() if "─" not in line]
    assert lines == ["of a?]0;owned??b?c?", "name" + " " * 15 + "b", "a?]0;owned??b?c?  10", "x" + " " * 18 + "9"]


def test_warnings_and_lines_hold_no_control_characters(capsys):
    printing.warn(STRANGE)
    printing.say("one\ntwo\x1b[31m")
    assert capsys.readouterr() == ("one\ntwo?[31m\n", "warning: a?]0;owned??b?c?\n")


def test_json_escapes_what_a_terminal_would_obey(capsys):
    printing.show_json({"name": STRANGE, "word": "é"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"name": STRANGE, "word": "é"} and "é" in out
    assert all(letter.isprintable() for letter in out.replace("\n", ""))


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
    stderr = Terminal()
    monkeypatch.setattr("sys.stderr", stderr)
    with printing.progress_bar("merging") as progress:
        progress(50, 100)
    assert "merging" in stderr.getvalue() and capsys.readouterr().out == ""
