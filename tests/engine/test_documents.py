"""Several documents in one file: where their results wait, what a resumed run trusts, what the record says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file, save_file

from modelweave import merge_recipe
from modelweave.checkpoints import open as opening
from modelweave.checkpoints.results.folder import DISCARDED
from modelweave.checkpoints.results.waiting import WaitingResults
from modelweave.cli.app import main
from modelweave.engine import documents as merging
from modelweave.errors import ModelweaveError, OutputError, RecipeError

TWO = """
name: {name}
merge_method: linear
models: [{{model: a, parameters: {{weight: {weight}}}}}, {{model: b, parameters: {{weight: 1}}}}]
---
merge_method: linear
models: [{{model: {name}, parameters: {{weight: 1}}}}, {{model: a, parameters: {{weight: 1}}}}]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in (("a", 1.0), ("b", 3.0)):
        (tmp_path / name).mkdir()
        save_file({"w": np.full(4, value, np.float32)}, tmp_path / name / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recipe(here: Path, name: str = "mean", weight: float = 1) -> Path:
    (here / "two.yml").write_text(TWO.format(name=name, weight=weight))
    return here / "two.yml"


def stopped_after_the_first(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is cut off between the two documents."""
    whole = merging.write_plan

    def first_alone(plan: Any, out: Any, *options: Any, **more: Any) -> Any:
        if Path(out).name == "out":
            raise KeyboardInterrupt
        return whole(plan, out, *options, **more)

    with monkeypatch.context() as patch:
        patch.setattr(merging, "write_plan", first_alone)
        with pytest.raises(KeyboardInterrupt):
            merge_recipe(recipe(here), "out")
    assert not (here / "out").exists()


@pytest.mark.parametrize("name", ["/{here}/precious", "../precious", "precious", "x" * 300])
def test_a_name_is_never_a_path(here: Path, name: str) -> None:
    (here / "precious").mkdir()
    (here / "precious" / "thesis.txt").write_text("years")
    merge_recipe(recipe(here, name.format(here=here)), "out")
    assert (here / "precious" / "thesis.txt").read_text() == "years"
    assert sorted(p.name for p in here.iterdir()) == ["a", "b", "out", "precious", "two.yml"]
    assert load_file("out/model.safetensors")["w"].tolist() == [1.5] * 4


def test_a_finished_result_is_complete_already(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = merge_recipe(recipe(here), "out")
    before = (here / "out" / "modelweave.json").read_bytes()
    again = merge_recipe(recipe(here), "out", resume=True)
    assert again.notice == "complete already" and (again.tensors, again.written) == (first.tensors, first.written)
    assert main(["merge", "two.yml", "out", "--resume"]) == 0 and "complete already" in capsys.readouterr().err
    assert (here / "out" / "modelweave.json").read_bytes() == before
    for other in ({"sets": ["mean.models[0].parameters.weight=3"]}, {"sets": ["mean.seed=5"]}):
        with pytest.raises(OutputError, match="already exists"):
            merge_recipe(here / "two.yml", "out", resume=True, **other)
    save_file({"w": np.full(4, 9, np.float32)}, here / "a" / "model.safetensors")
    with pytest.raises(OutputError, match="already exists"):
        merge_recipe(recipe(here), "out", resume=True)


def test_the_record_keeps_the_whole_ancestry(here: Path) -> None:
    merge_recipe(recipe(here), "out")
    record = json.loads((here / "out" / "modelweave.json").read_text())
    assert [i["label"] for i in record["inputs"]] == ["mean", "a"]
    earlier = record["documents"]["mean"]
    assert [i["label"] for i in earlier["inputs"]] == ["a", "b"] and len(earlier["inputs"][0]["files"][0]["sha256"]) == 64
    assert earlier["recipe"]["name"] == "mean" and earlier["tensors"][0]["action"] == "linear"
    card = (here / "out" / "README.md").read_text()
    assert yaml.safe_load(card.split("---")[1])["base_model"] == ["a", "b"]
    assert "name: mean" in card


def test_a_finished_document_is_not_merged_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped_after_the_first(here, monkeypatch)
    before = os.stat(here / ".out.stages" / "1" / "model.safetensors").st_mtime_ns
    seen: list[int] = []
    remove = WaitingResults.remove
    monkeypatch.setattr(
        WaitingResults, "remove", lambda self: (seen.append(os.stat(self.place(1) / "model.safetensors").st_mtime_ns), remove(self))
    )
    merge_recipe(here / "two.yml", "out", resume=True)
    assert seen == [before] and not (here / ".out.stages").exists()


@pytest.mark.parametrize("change", ["recipe", "input"])
def test_a_finished_document_counts_only_while_nothing_changed(here: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    stopped_after_the_first(here, monkeypatch)
    if change == "recipe":
        recipe(here, weight=3)
    else:
        save_file({"w": np.full(4, 7.0, np.float32)}, here / "b" / "model.safetensors")
    with pytest.raises(OutputError, match="cannot be resumed"):
        merge_recipe(here / "two.yml", "out", resume=True)
    merge_recipe(here / "two.yml", "out")
    assert load_file("out/model.safetensors")["w"].tolist() == ([1.25] * 4 if change == "recipe" else [2.5] * 4)


def test_what_was_merged_already_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped_after_the_first(here, monkeypatch)
    assert merge_recipe(here / "two.yml", "out", resume=True).notice == "document 'mean' was already merged"
    assert merge_recipe(here / "two.yml", "new", resume=True).notice == "nothing to resume; started from the beginning"
    assert merge_recipe(here / "two.yml", "newer").notice == ""


def test_what_became_of_half_a_document_is_told(here: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    for resume, notice in ((True, "document 'mean': resumed: 0 of 1 tensors were already finished"), (False, DISCARDED)):
        with pytest.raises(KeyboardInterrupt):
            merge_recipe(recipe(here), f"out-{resume}", progress=stop)
        assert merge_recipe(here / "two.yml", f"out-{resume}", resume=resume).notice == notice


def test_of_named_documents_the_one_that_no_other_uses_is_kept(here: Path) -> None:
    mean = "name: {}\nmerge_method: linear\nmodels: [{{model: {}, parameters: {{weight: 1}}}}, {{model: a, parameters: {{weight: 1}}}}]\n"
    (here / "turned.yml").write_text("---\n".join(mean.format(*row) for row in (("final", "part"), ("part", "b"))))
    merge_recipe(here / "turned.yml", "out")
    assert load_file("out/model.safetensors")["w"].tolist() == [1.5] * 4
    (here / "two-ends.yml").write_text("---\n".join(mean.format(*row) for row in (("final", "part"), ("other", "b"), ("part", "b"))))
    with pytest.raises(RecipeError, match="the results of 'final' and 'other' are used by no other document; take the name from"):
        merge_recipe(here / "two-ends.yml", "out2")


def test_only_what_the_last_document_is_made_of_is_merged_and_recorded_once(here: Path) -> None:
    mean = "merge_method: linear\nmodels: [{{model: {0}, parameters: {{weight: 1}}}}, {{model: {1}, parameters: {{weight: 1}}}}]\n"
    rows = [("a", "b", "one"), ("one", "a", "two"), ("one", "b", "aside"), ("aside", "a", "further"), ("two", "one", None)]
    texts = [(f"name: {name}\n" if name else "") + mean.format(first, second) for first, second, name in rows]
    (here / "many.yml").write_text("---\n".join(texts))
    result = merge_recipe(here / "many.yml", "out")
    assert load_file("out/model.safetensors")["w"].tolist() == [1.75] * 4
    record = json.loads((here / "out" / "modelweave.json").read_text())
    assert list(record["documents"]) == ["one", "two"] and not any(own["documents"] for own in record["documents"].values())
    left_out = [f"document '{name}' is not used for the last one and is not merged" for name in ("aside", "further")]
    assert [line for line in result.warnings if "is not merged" in line] == left_out


def test_warnings_of_earlier_documents_reach_the_user(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"w": np.full(4, 3.0, np.float16)}, here / "b" / "model.safetensors")
    stopped_after_the_first(here, monkeypatch)
    warning = "document 'mean': the inputs have different types (F16, F32), the result has F32; set dtype to choose one"
    assert warning in merge_recipe(here / "two.yml", "out", resume=True).warnings
    assert warning in merge_recipe(here / "two.yml", "new").warnings


def test_an_error_says_in_which_document_it_is(here: Path) -> None:
    save_file({"w": np.full(4, np.nan, np.float32)}, here / "b" / "model.safetensors")
    with pytest.raises(ModelweaveError, match="^document 'mean': .*NaN"):
        merge_recipe(recipe(here), "out")


def test_what_a_cut_off_run_left_goes_with_the_next_whole_one(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped_after_the_first(here, monkeypatch)
    assert (here / ".out.stages").is_dir()
    (here / "one.yml").write_text("merge_method: passthrough\nmodels: [a]\n")
    merge_recipe(here / "one.yml", "out")
    assert not list(here.glob(".out*"))


def test_inputs_are_opened_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    real = opening.open_checkpoint
    monkeypatch.setattr(opening, "open_checkpoint", lambda source, **more: (seen.append(str(source)), real(source, **more))[1])
    merge_recipe(recipe(here), "out")
    assert sorted(seen) == ["a", "b"]


def test_two_runs_into_one_place_are_refused(here: Path) -> None:
    (here / "one.yml").write_text("merge_method: passthrough\nmodels: [a]\n")
    for text in (recipe(here), here / "one.yml"):
        with WaitingResults("out"), pytest.raises(OutputError, match="another run"):
            merge_recipe(text, "out")


@pytest.mark.parametrize(
    ("out", "part"),
    [
        ("full", "already exists and is not empty"),
        ("file", "already exists and is no folder"),
        ("file/x", "cannot be written"),
        ("a/out", "lies inside the input 'a'"),
        ("y" * 300, "cannot be written"),
    ],
)
def test_a_target_that_will_not_do_is_refused_before_anything_is_merged(here: Path, out: str, part: str) -> None:
    (here / "full").mkdir()
    (here / "full" / "x").touch()
    (here / "file").touch()
    before = sorted(here.rglob("*"))
    with pytest.raises(ModelweaveError, match=part):
        merge_recipe(recipe(here), out)
    assert sorted(p for p in here.rglob("*") if p.name != "two.yml") == before


def test_the_current_folder_is_a_target(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "new").mkdir()
    text = recipe(here).read_text().replace("model: a", "model: ../a").replace("model: b", "model: ../b")
    (here / "two.yml").write_text(text)
    monkeypatch.chdir(here / "new")
    assert merge_recipe("../two.yml", ".").written > 16
    assert (here / "new" / "model.safetensors").is_file() and not list(here.glob(".new*"))
