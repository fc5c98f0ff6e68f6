"""Exit statuses, error lines, help, and what must not be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import modelweave
from modelweave.cli import app as app_module
from modelweave.cli.app import main
from modelweave.errors import OutputError

COMMANDS = ("merge", "plan", "inspect", "diff", "advise", "blend", "methods", "papers", "reproduce", "schema", "demo")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(modelweave.__file__).parents[1])}


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"modelweave {modelweave.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command, capsys):
    assert main([command, "--help"]) == 0
    assert f"Example:\n    modelweave {command}" in capsys.readouterr().out


def test_usage_errors_exit_with_two(capsys):
    assert main(["merge"]) == 2
    assert "RECIPE" in capsys.readouterr().err
    assert main(["frobnicate"]) == 2
    assert main(["methods", "--frobnicate"]) == 2


def test_an_error_is_one_line_that_is_left_as_it_is(capsys, monkeypatch):
    def fail(name, level):
        raise OutputError("[red]out[/red] " + "x" * 300 + "\nexists")

    monkeypatch.setattr("modelweave.catalog.named", fail)
    assert main(["methods", "ties"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: [red]out[/red] " + "x" * 300 + " exists\n" and captured.out == ""


def test_debug_shows_where_an_error_comes_from(capsys, monkeypatch):
    monkeypatch.setenv("MODELWEAVE_DEBUG", "1")
    assert main(["methods", "tise"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" in error and "error: unknown method 'tise'; did you mean 'ties'?" in error


@pytest.mark.parametrize(("raised", "status"), [(KeyboardInterrupt(), 130), (BrokenPipeError(32, "Broken pipe"), 1)])
def test_interrupts_and_closed_pipes_are_quiet(raised, status, monkeypatch, capfd):
    def fail(name, level):
        raise raised

    monkeypatch.setattr("modelweave.catalog.named", fail)
    try:
        found = main(["methods", "ties"])
    except SystemExit as error:
        found = error.code
    assert found == status
    assert "Traceback" not in capfd.readouterr().err


def test_a_reader_that_stops_early(tmp_path):
    command = f"{sys.executable} -m modelweave methods --json | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert done.stdout == "[" and done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_output_that_cannot_be_written_is_one_sentence():
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m modelweave schema > /dev/full"], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.returncode == 2 and done.stderr.startswith("error: the output cannot be written (No space left on device)")
    assert len(done.stderr.splitlines()) == 1


def test_no_output_at_all_is_no_error():
    done = subprocess.run(["bash", "-c", f"{sys.executable} -m modelweave methods >&-"], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.parametrize("option", ["--json", "--page"])
def test_files_are_checked_before_an_experiment(option, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("modelweave.papers.harness.experiment.reproduce", lambda *_: pytest.fail("the experiment ran"))
    assert main(["reproduce", "29", option, str(tmp_path / "none" / "x")]) == 2
    assert "cannot be written: its folder does not exist" in capsys.readouterr().err
    assert main(["reproduce", "29", option, str(tmp_path)]) == 2
    assert "is a folder, expected the name of a file" in capsys.readouterr().err


def test_other_exceptions_keep_their_traceback(monkeypatch):
    def fail(name, level):
        raise ZeroDivisionError

    monkeypatch.setattr("modelweave.catalog.named", fail)
    with pytest.raises(ZeroDivisionError):
        main(["methods", "ties"])


def test_nothing_heavy_is_imported(tmp_path):
    (tmp_path / "bad.yml").write_text("merge_method: tise\nmodels: [{model: a}]\n")
    (tmp_path / "gone.yml").write_text("merge_method: linear\nmodels: [{model: ./gone}]\nparameters: {weight: 1}\n")
    code = """
import sys
from modelweave.cli.app import main
assert main(["--help"]) == main(["methods"]) == main(["methods", "ties"]) == 0
assert not {"modelweave.recipes.language.document", "yaml", "torch"} & set(sys.modules)
assert main(["schema"]) == 0
for name in ("bad.yml", "gone.yml", "none.yml"):
    assert main(["plan", name]) == main(["merge", name, "out", "--dry-run"]) == 2
assert "torch" not in sys.modules, "torch"
assert "matplotlib" not in sys.modules, "matplotlib"
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 6 and all(line.startswith("error: ") for line in lines) and "did you mean 'ties'" in lines[0]


def test_the_module_runs():
    done = subprocess.run([sys.executable, "-m", "modelweave", "--version"], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert done.stdout.startswith("modelweave ")


def test_every_command_is_there():
    assert {c.callback.__name__ for c in app_module.app.registered_commands} == set(COMMANDS)
