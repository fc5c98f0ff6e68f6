"""`papers`, `reproduce`, `schema` and `demo`, with what they call replaced."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from modelweave.cli.app import main
from modelweave.papers.index import Paper


class Result:
    def __init__(self, number, seeds):
        self.number, self.seeds, self.holds = number, seeds, number == 29

    def to_json(self):
        return {"number": self.number, "control": float("nan")}


@pytest.fixture(autouse=True)
def harness(monkeypatch):
    entries = (
        Paper(8, "Soups", "", "weights"),
        Paper(25, "At scale", "2410.03617", "weights", ".module"),
        Paper(29, "TIES", "", "weights", ".module"),
    )
    monkeypatch.setattr("modelweave.papers.index.PAPERS", {paper.number: paper for paper in entries})
    monkeypatch.setattr("modelweave.papers.harness.experiment.reproduce", Result)
    monkeypatch.setattr("modelweave.papers.harness.table.result_text", lambda result, width: f"paper {result.number}, seeds {result.seeds}")
    monkeypatch.setattr("modelweave.papers.harness.figure.draw_result", lambda result, file: Path(file).write_text("figure"))


def test_papers(capsys):
    assert main(["papers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["number", "title", "arXiv", "level", "experiment"]
    assert lines[1].split() == ["8", "Soups", "-", "weights", "no"]
    assert main(["papers", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[2] == {"number": 29, "title": "TIES", "arxiv": "", "level": "weights", "module": ".module", "experiment": True}


def test_reproduce(tmp_path, capsys):
    file, figure = tmp_path / "r.json", tmp_path / "r.png"
    assert main(["reproduce", "29", "--seeds", "4,5", "--json", str(file), "--figure", str(figure)]) == 0
    assert capsys.readouterr().out == "paper 29, seeds (4, 5)\n"
    assert json.loads(file.read_text()) == {"number": 29, "control": None} and figure.exists()
    assert main(["reproduce", "25"]) == 1
    assert capsys.readouterr().out == "paper 25, seeds (0, 1, 2)\n"


def test_reproduce_all(tmp_path, capsys):
    assert main(["reproduce", "--all", "--json", str(tmp_path / "r.json")]) == 1
    assert capsys.readouterr().out.count("paper") == 2
    assert [row["number"] for row in json.loads((tmp_path / "r.json").read_text())] == [25, 29]


@pytest.mark.parametrize("words", [["29", "--seeds", "1,x"], ["29", "--seeds", ""], ["29", "--seeds", "1,1"], [], ["29", "--all"]])
def test_reproduce_refuses_nonsense(words, capsys):
    assert main(["reproduce", *words]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_schema(tmp_path, capsys):
    assert main(["schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["title"] == "modelweave recipe"
    assert main(["schema", "--out", str(tmp_path / "s.json")]) == 0
    assert json.loads((tmp_path / "s.json").read_text()) == printed
    assert main(["schema", "--out", str(tmp_path / "no" / "s.json")]) == 2


def test_demo(tmp_path, monkeypatch, capsys):
    asked = {}

    def run_demo(folder, **options):
        asked.update(options, folder=folder)
        options["say"]("training")
        return SimpleNamespace(tasks=("one",), rows=(), best_single="base", test_images=9, seconds=1.0, plot=folder / "accuracy.png")

    module = ModuleType("modelweave.papers.demo.run")
    module.run_demo = run_demo
    monkeypatch.setitem(sys.modules, "modelweave.papers.demo.run", module)
    assert main(["demo", str(tmp_path), "--quick", "--seed", "3"]) == 0
    captured = capsys.readouterr()
    assert (asked["folder"], asked["quick"], asked["seed"]) == (tmp_path, True, 3)
    assert (
        captured.out.startswith("model  networks  one  mean  against base (95 %)")
        and "accuracy.png" in captured.out
        and captured.err == "training\n"
    )
