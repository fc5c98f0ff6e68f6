"""What the commands print, on a terminal and elsewhere; the bar's throttle."""

from __future__ import annotations

import json

import pytest

from modelweave.cli import printing

from .helpers import Terminal, terminal


def test_a_table_is_as_wide_as_it_needs_where_there_is_no_terminal(capsys):
    printing.show_table(["a", "b"], [["x" * 300, "[bold]1"], ["y", "z"]])
    assert capsys.readouterr().out.splitlines() == ["a" + " " * 301 + "b", "x" * 300 + "  [bold]1", "y" + " " * 301 + "z"]


def test_a_table_is_as_wide_as_the_terminal(monkeypatch):
    stdout = terminal(monkeypatch, 40)
    printing.show_table(["name", "words"], [["a", "long " * 20], ["b", "[red]w[/red]"]], title="title")
    lines = stdout.getvalue().splitlines()
    assert lines[0] == "title" and max(map(len, lines)) == 40 and "[red]w[/red]" in lines[-1]


STRANGE = "a\x1b]0;owned\x07\nb\u202ec\x9b"


@pytest.mark.parametrize("there", [False, True])
def test_what_a_terminal_would_obey_is_shown_as_question_marks(there, monkeypatch, capsys):
    stdout = terminal(monkeypatch) if there else None
    printing.show_table(["name", "b"], [[STRANGE, "10"], ["x", "9"]], title="of " + STRANGE)
    shown = stdout.getvalue() if stdout else capsys.readouterr().out
    lines = [line.rstrip() for line in shown.splitlines() if "--" not in line]
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
