"""The demo at its smallest with an average of files in the place of the command, then the command itself."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from modelweave.errors import ModelweaveError, OutputError
from modelweave.papers.demo import run as demo
from modelweave.papers.demo.network import load_network, new_network, save_network
from modelweave.papers.demo.recipes import merge_by_command, recipe, write_recipes
from modelweave.papers.worlds.views import VIEWS


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "QUICK", demo.Size(base_images=16, base_epochs=1, images=32, epochs=1, test=40))


def average(file: Path, out: Path) -> None:
    folders = [file.parent / member["model"] for member in yaml.safe_load(file.read_text())["models"]]
    states = [load_file(folder / "model.safetensors") for folder in folders]
    out.mkdir(parents=True)
    save_file({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}, out / "model.safetensors")
    shutil.copy(folders[0] / "config.json", out)


def test_everything_is_scored_and_written(tmp_path: Path) -> None:
    lines: list[str] = []
    result = demo.run_demo(tmp_path / "demo", quick=True, say=lines.append, merge=average)
    names = [row.name for row in result.rows]
    assert names[:6] == ["base", *VIEWS, "ensemble"] and len(names) == 6 + 7
    assert {row.group for row in result.rows} == {"base", "specialist", "ensemble", "merge"}
    linear, arithmetic = (next(row for row in result.rows if row.name == name) for name in ("linear", "task_arithmetic"))
    assert linear.accuracy == arithmetic.accuracy  # the stand-in averages, whatever the recipe says
    assert all(0 <= share <= 1 for row in result.rows for share in row.accuracy)
    assert result.plot.read_bytes().startswith(b"\x89PNG")
    written = json.loads((tmp_path / "demo" / "demo.json").read_text())
    assert written["best_single"] == result.best_single and len(written["rows"]) == len(result.rows)
    assert f"| {result.best_single} |" in (tmp_path / "demo" / "table.md").read_text()
    assert len(lines) == 1 + len(VIEWS) + 7 + 1

    again = demo.run_demo(tmp_path / "demo", quick=True, merge=average)
    assert again.rows == result.rows  # same seed, same numbers, and an earlier demo is replaced


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match=r"expected an empty folder, found thesis\.tex"):
        demo.run_demo(tmp_path, quick=True, merge=average)
    assert (tmp_path / "thesis.tex").read_text() == "x"
    with pytest.raises(OutputError, match="this is a file"):
        demo.run_demo(tmp_path / "thesis.tex", quick=True, merge=average)


def test_recipes_are_yaml_with_a_base_where_one_is_needed(tmp_path: Path) -> None:
    files = write_recipes(tmp_path, VIEWS)
    found = {file.stem: yaml.safe_load(file.read_text()) for file in files}
    assert set(found) >= {"linear", "slerp", "task_arithmetic", "ties", "dare_ties", "model_stock", "breadcrumbs"}
    assert all(recipe["merge_method"] == method for method, recipe in found.items())
    assert [method for method, recipe in found.items() if "base_model" not in recipe] == ["linear"]
    assert found["ties"]["models"][0] == {
        "model": "../specialists/upright",
        "parameters": {"weight": 1.0, "density": 0.2},
    }
    assert found["ties"]["parameters"] == {"normalize": True}
    assert len(found["slerp"]["models"]) == 2


def test_the_command_merges_what_from_pretrained_loads(tmp_path: Path) -> None:
    names = ("a", "b")
    for seed, name in enumerate(names):
        save_network(new_network(seed=seed), tmp_path / "specialists" / name)
    (tmp_path / "recipes").mkdir()
    file = tmp_path / "recipes" / "linear.yml"
    file.write_text(recipe("linear", names))
    merge_by_command(file, tmp_path / "merged" / "linear")
    merged = load_network(tmp_path / "merged" / "linear").state_dict()
    a, b = (load_network(tmp_path / "specialists" / name).state_dict() for name in names)
    assert set(merged) == set(a)
    assert all(torch.allclose(merged[name], (a[name] + b[name]) / 2, atol=1e-7) for name in merged)


@pytest.mark.slow
def test_the_whole_demo_in_under_three_minutes(tmp_path: Path) -> None:
    result = demo.run_demo(tmp_path)
    means = {row.name: row.mean for row in result.rows}
    by_name = {row.name: row for row in result.rows}
    for place, name in enumerate(VIEWS):
        own = by_name[name].accuracy[place]
        assert own == max(by_name[name].accuracy) and own > means["base"] + 0.1
    for method in ("linear", "task_arithmetic", "ties", "dare_ties", "breadcrumbs"):
        assert by_name[method].low > 0, f"{method} does not beat the best single model"
        assert abs(means[method] - means["ensemble"]) < 0.03


def test_the_command_s_complaint_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("merge_method: tise\nmodels: [{model: a}]\n")
    with pytest.raises(ModelweaveError, match=r"ended with 2: .*unknown method 'tise'; did you mean 'ties'"):
        merge_by_command(tmp_path / "bad.yml", tmp_path / "out")
    assert not (tmp_path / "out").exists()
