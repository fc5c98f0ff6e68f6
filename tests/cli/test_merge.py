"""`merge` with the engine replaced: which options reach it, and what is said afterwards."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from modelweave.cli.app import main
from modelweave.engine.run import TensorReport

from .helpers import CONFIG, small, write_model


class Result:
    folder = Path("merged")
    tensors = (
        TensorReport("a", "ties", (2,), "F32", ("x", "y")),
        TensorReport("b", "ties", (2,), "F32", ("x", "y")),
        TensorReport("c", "copied", (2,), "I64", ("x",), ("integers are copied from 'x'",)),
    )
    dropped = {"x: d": "only in 'x'", "x: e": "only in 'x'"}  # noqa: RUF012
    warnings = ("licences differ",)
    written = 13_500
    seconds = 1.25
    notice = "resumed: 2 of 3 tensors were already finished"


@pytest.fixture
def calls(monkeypatch):
    seen = []

    def merge_recipe(recipe, out, **options):
        seen.append((recipe, out, options))
        if recipe.name == "stopped.yml":
            raise KeyboardInterrupt
        return Result()

    module = ModuleType("modelweave.engine.documents")
    module.merge_recipe = merge_recipe
    monkeypatch.setitem(sys.modules, "modelweave.engine.documents", module)
    return seen


def test_summary(calls, capsys):
    assert main(["merge", "r.yml", "out"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "wrote merged: 13.5 kB in 1.2 s",
        "  2 merged by ties",
        "  1 copied: integers are copied from 'x'",
        "  2 dropped: only in 'x'",
    ]
    assert captured.err == "warning: resumed: 2 of 3 tensors were already finished\nwarning: licences differ\n"
    defaults = {"resume": False, "shard_size": 5 * 10**9, "memory": 1 << 30, "threads": None, "device": "cpu", "sets": ()}
    defaults |= {"seed": None, "allow_nonfinite": False, "hash_inputs": False, "sync": False, "progress": None}
    assert calls == [(Path("r.yml"), Path("out"), defaults)]


def test_every_option_reaches_the_engine(calls):
    sizes = ["--shard-size", "500MB", "--memory", "2GiB", "--threads", "3"]
    flags = ["--resume", "--allow-nonfinite", "--hash-inputs", "--sync"]
    assert main(["merge", "r.yml", "out", *flags, *sizes, "--set", "a=1", "--set", "b.c=2", "--seed", "7"]) == 0
    options = calls[0][2]
    assert (options["resume"], options["shard_size"], options["memory"], options["threads"]) == (True, 500_000_000, 2 << 30, 3)
    assert (list(options["sets"]), options["seed"], options["allow_nonfinite"]) == (["a=1", "b.c=2"], 7, True)
    assert options["hash_inputs"] and options["sync"]


def test_ctrl_c_says_how_to_go_on(calls, capsys):
    assert main(["merge", "stopped.yml", "out"]) == 130
    assert capsys.readouterr().err == "interrupted; the same command with --resume continues where it stopped\n"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--memory", "lots"], "--memory: expected a size such as 5GB"),
        (["--shard-size", "0"], "--shard-size: expected at least one byte"),
        (["--device", "tpu"], "device: expected cpu, cuda or cuda:N, got 'tpu'"),
        (["--device", "cuda:99"], "device: cuda:99 is not there"),
    ],
)
def test_nonsense_is_refused_before_anything_runs(words, part, calls, capsys):
    assert main(["merge", "r.yml", "out", *words]) == 2
    assert capsys.readouterr().err.startswith(f"error: {part}") and not calls


def test_dry_run_shows_the_plan_and_writes_nothing(calls, tmp_path, capsys):
    for name in "xy":
        write_model(tmp_path / name, small(1.0), CONFIG)
    (tmp_path / "r.yml").write_text("merge_method: linear\nmodels: [{model: x}, {model: y}]\nparameters: {weight: 1}\n")
    assert main(["merge", str(tmp_path / "r.yml"), str(tmp_path / "out"), "--dry-run"]) == 0
    assert "5 merged, 0 copied, 0 dropped" in capsys.readouterr().out
    assert not calls and not (tmp_path / "out").exists()
