"""Every example in the documentation runs; the generated pages are up to date."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from modelweave.catalog import METHODS
from modelweave.cli.app import main
from modelweave.recipes.language.load import parse_recipe
from modelweave.recipes.planning.planned import plan_documents

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SLOW = ("modelweave reproduce", "make ", "pip ")


def blocks(page: Path, language: str) -> list[str]:
    return [text for word, text in FENCE.findall(page.read_text(encoding="utf-8")) if word == language]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a base and three fine-tunes of four layers, under the names that the documentation uses."""
    monkeypatch.chdir(tmp_path)
    shapes = {"model.embed_tokens.weight": (8, 4), "model.norm.weight": (4,), "lm_head.weight": (8, 4)}
    shapes |= {f"model.layers.{i}.{part}": (4, 4) for i in range(4) for part in ("mlp.up_proj.weight", "self_attn.q_proj.weight")}
    for seed, name in enumerate(("base", "math", "code", "chat")):
        random = np.random.default_rng(seed)
        (tmp_path / name).mkdir()
        save_file({n: random.standard_normal(s).astype(np.float32) for n, s in shapes.items()}, tmp_path / name / "model.safetensors")
        config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 4, "vocab_size": 8}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    write_predictions(tmp_path)
    return tmp_path


def write_predictions(folder: Path) -> None:
    """Three members' predictions of three classes, and the targets."""
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 120)
    (folder / "predictions").mkdir()
    for name in ("forest", "linear", "neighbours"):
        p = np.exp(1.5 * np.eye(3)[y] + random.standard_normal((120, 3)))
        lines = [f"r{i}," + ",".join(map(str, row / row.sum())) for i, row in enumerate(p)]
        (folder / "predictions" / f"{name}.csv").write_text("\n".join(["key,cat,dog,eel", *lines]) + "\n")
    lines = [f"r{i},{('cat', 'dog', 'eel')[k]},g{i // 4}" for i, k in enumerate(y)]
    (folder / "y.csv").write_text("\n".join(["key,target,group", *lines]) + "\n")


def pages_with(language: str) -> Any:
    found = [page for page in PAGES if blocks(page, language)]
    return pytest.mark.parametrize("page", found, ids=[page.name for page in found])


@pages_with("python")
def test_python(here: Path, page: Path) -> None:
    names: dict[str, Any] = {}
    for text in blocks(page, "python"):
        exec(compile(text, page.name, "exec"), names)
    assert "modelweave" in names


@pages_with("yaml")
def test_recipes(here: Path, page: Path) -> None:
    for text in blocks(page, "yaml"):
        for plan in plan_documents(parse_recipe(text, where=page.name)):
            assert plan.tensors


@pages_with("sh")
def test_commands(here: Path, page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipes = blocks(page, "yaml") or blocks(ROOT / "README.md", "yaml")
    (here / "recipe.yml").write_text(recipes[0])
    for text in blocks(page, "sh"):
        for line in text.splitlines():
            command = line.split("#")[0].strip()
            if command and not command.startswith(SLOW):
                words = shlex.split(command)
                assert words[0] == "modelweave"
                assert main(words[1:]) == 0, command
        shutil.rmtree(here / "merged", ignore_errors=True)


def test_the_page_of_methods_is_what_the_catalog_says() -> None:
    spec = importlib.util.spec_from_file_location("make_pages", ROOT / "docs" / "make_pages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert written == module.methods_page(), "run: python docs/make_pages.py"
    assert all(f"## {name}\n" in written for name in METHODS)


def test_the_front_page_counts_the_methods() -> None:
    (number,) = re.findall(r"one recipe language hold (\d+) methods", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert int(number) == len(METHODS)


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_walk_through_a_new_method_runs() -> None:
    names: dict[str, Any] = {}
    for text in re.findall(r"^   ```py\n(.*?)^   ```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        exec(compile(re.sub(r"^   ", "", text, flags=re.MULTILINE), "CONTRIBUTING.md", "exec"), names)
    names["test_the_middle_stays"]()
    assert str(names["keep_middle"](4, density=0.5)) in names["keep_middle"].__doc__
