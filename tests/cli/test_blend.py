"""`modelweave blend`: from a folder of files to weights, a verdict, JSON and a page."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from modelweave import Blend, blend
from modelweave.cli.app import main

from ..outputs.predictions.slow import make_members, make_numbers

LABELS = ["cat", "dog", "eel"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    members, y = make_members(0, 200, 3)
    keys = pd.Index([f"r{i}" for i in range(200)], name="key")
    (tmp_path / "p").mkdir()
    for name, p in members.items():
        order = np.random.default_rng(len(name)).permutation(200)
        pd.DataFrame(p, keys, LABELS)[["dog", "eel", "cat"] if name == "m1" else LABELS].iloc[order].to_csv(f"p/{name}.csv")
    pd.DataFrame({"target": np.array(LABELS)[y], "group": np.arange(200) // 4, "site": np.arange(200) % 2}, keys).to_csv("y.csv")
    return tmp_path


def test_a_folder_becomes_a_blend(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["blend", "p", "--targets", "y.csv", "--out", "blend.json", "--report", "out.html"]) == 0
    out = capsys.readouterr().out
    assert "greedy beats the" in out and "plain mean" in out and "written: blend.json" in out
    members, y = make_members(0, 200, 3)
    expected = blend(members, y, groups=np.arange(200) // 4)
    saved = Blend.load(here / "blend.json")
    assert dict(saved.weights) == pytest.approx(dict(expected.weights))
    assert saved.labels == ("cat", "dog", "eel") and saved.verdict.scores == pytest.approx(expected.verdict.scores)
    assert saved.predict(members) == pytest.approx(expected.predict(members))


def test_the_page_opens_from_disk(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    costs = [word for name in ("m0", "m1", "m2") for word in ("--cost", f"{name}=1")]
    assert main(["blend", "p", "--targets", "y.csv", "--report", "out.html", *costs]) == 0
    page = (here / "out.html").read_text()
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert not re.search(r'(src|href)="(?!data:)', page) and "<script" not in page, "nothing is fetched"
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(images) == 3 and all(b64decode(image).startswith(b"\x89PNG") for image in images)
    assert "What cost buys" in page and "greedy beats the" in page and "Correlation" in page
    assert "what cost buys" in capsys.readouterr().out


def test_names_in_the_page_are_text(here: Path) -> None:
    (here / "p" / "m0.csv").rename(here / "p" / "<b>m0.csv")
    assert main(["blend", "p", "--targets", "y.csv", "--report", "out.html"]) == 0
    page = (here / "out.html").read_text()
    assert "&lt;b&gt;m0" in page and "<b>m0" not in page


def test_json_and_settings(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["blend", "p", "--targets", "y.csv", "--set", "rounds=3", "--preset", "autogluon", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["trajectory"]) == 3 and found["method"] == "greedy" and found["format"] == "modelweave.blend/1"
    assert main(["blend", "p", "--targets", "y.csv", "--method", "per_group", "--segments", "site"]) == 0
    assert main(["blend", "p", "--targets", "y.csv", "--metric", "accuracy", "--calibration", "both", "--method", "auto"]) == 0


def test_numbers_in_one_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    members, y = make_numbers(0)
    (tmp_path / "p").mkdir()
    for name, p in members.items():
        pd.DataFrame({"prediction": p}).rename_axis("key").to_csv(f"p/{name}.csv")
    order = np.random.default_rng(0).permutation(200)
    pd.DataFrame({"target": y, "time": np.arange(200)}).rename_axis("key").iloc[order].to_csv("y.csv")
    assert main(["blend", "p", "--targets", "y.csv"]) == 0
    captured = capsys.readouterr()
    assert "rmse" in captured.out and "were not in the order of time; they are now" in captured.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["p", "--targets", "none.csv"], "none.csv: expected a CSV or Parquet file, found nothing"),
        (["q", "--targets", "y.csv"], "q: expected a folder with one CSV or Parquet file a member, found nothing"),
        (["p", "--targets", "y.csv", "--method", "gredy"], "unknown method 'gredy'; did you mean 'greedy'"),
        (["p", "--targets", "y.csv", "--provenance", "in_sample"], "are in-sample"),
        (["p", "--targets", "y.csv", "--segments", "town"], "--segments: the targets have no column 'town'; they have group, site"),
        (["p", "--targets", "y.csv", "--set", "seed=3"], "options: unknown parameter of greedy 'seed'"),
        (["p", "--targets", "y.csv", "--cost", "m0"], "--cost: expected NAME=VALUE, got 'm0'"),
        (["p", "--targets", "y.csv", "--cost", "m0=low"], "--cost: expected a number for 'm0', got 'low'"),
        (["p", "--targets", "y.csv", "--cost", "m0=1"], "costs: member 'm1' needs a cost above 0, got None"),
        (["p", "--targets", "y.csv", "--out", "no/blend.json"], "--out: the folder 'no' does not exist; make it first"),
        (["p", "--targets", "y.csv", "--metric", "rmse"], "targets: expected numbers"),
    ],
)
def test_what_is_wrong_is_one_line(here: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    before = sorted(here.rglob("*"))
    assert main(["blend", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err
    assert sorted(here.rglob("*")) == before
