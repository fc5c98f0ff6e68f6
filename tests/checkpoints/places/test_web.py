"""Addresses of the web and the Hugging Face hub, through their real clients and a server on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelweave.checkpoints.open import open_checkpoint
from modelweave.checkpoints.places import remote
from modelweave.checkpoints.results.manifest import publishable
from modelweave.engine.merge import fingerprint
from modelweave.errors import CheckpointError
from modelweave.recipes.language.load import parse_recipe
from modelweave.recipes.planning.build import build_plan

from ..files import write_arrays
from .web import COMMIT, Web, served

SIZE = 3_000_000


def repository(folder: Path, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal(SIZE, dtype=np.float32)
    write_arrays(folder / "model.safetensors", {"w": values})
    (folder / "config.json").write_text('{"model_type": "x"}')
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return values


@pytest.fixture
def web(tmp_path: Path) -> Any:
    (tmp_path / "site").mkdir()
    with served(tmp_path / "site") as server:
        yield server


def modelweave(words: list[str], here: Path, web: Web, **more: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: the hub's client reads its settings when it is imported."""
    environment = {**os.environ, "HF_ENDPOINT": web.address, "HF_HOME": str(here / "hub"), "HF_HUB_DISABLE_PROGRESS_BARS": "1", **more}
    environment.pop("HF_HUB_OFFLINE", None)
    environment |= {key: value for key, value in more.items() if key == "HF_HUB_OFFLINE"}
    return subprocess.run([sys.executable, "-m", "modelweave", *words], cwd=here, env=environment, capture_output=True, text=True)


def test_models_on_the_hub_are_planned_from_headers_and_merged(tmp_path: Path, web: Web) -> None:
    values = [repository(web.folder / "org" / name, seed) for seed, name in enumerate(("a", "b"))]
    members = "".join(f"  - model: {name}\n    parameters: {{weight: 1}}\n" for name in ("org/a", f"org/b@{COMMIT}"))
    (tmp_path / "recipe.yml").write_text(f"merge_method: linear\nmodels:\n{members}")

    planned = modelweave(["plan", "recipe.yml"], tmp_path, web)
    assert planned.returncode == 0, planned.stderr
    assert "org/a" in planned.stdout and "mit" in planned.stdout
    assert web.sent["org/a/model.safetensors"] == remote.HEAD  # one request, of a file of 12 MB

    merged = modelweave(["merge", "recipe.yml", "merged"], tmp_path, web)
    assert merged.returncode == 0, merged.stderr
    found = open_checkpoint(tmp_path / "merged")["w"].read().view(np.float32)
    assert np.array_equal(found, ((values[0].astype(np.float64) + values[1]) / 2).astype(np.float32))
    inputs = json.loads((tmp_path / "merged" / "modelweave.json").read_text())["inputs"]
    for record, name in zip(inputs, ("a", "b"), strict=True):
        content = (web.folder / "org" / name / "model.safetensors").read_bytes()
        assert record["repo"] == f"org/{name}" and record["revision"] == COMMIT
        assert record["files"][0]["sha256"] == hashlib.sha256(content).hexdigest()

    sent = dict(web.sent)
    again = modelweave(["merge", "recipe.yml", "again"], tmp_path, web, HF_HUB_OFFLINE="1")
    assert again.returncode == 0, again.stderr
    assert web.sent == sent
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (tmp_path / "merged" / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("name", "why"),
    [("org/none", "which has no such repository, or a private one"), ("org/a@other", "which has no such revision")],
)
def test_what_the_hub_does_not_have_is_one_sentence(tmp_path: Path, web: Web, name: str, why: str) -> None:
    repository(web.folder / "org" / "a", 0)
    found = modelweave(["inspect", name], tmp_path, web)
    assert found.returncode == 2 and len(found.stderr.splitlines()) == 1
    assert why in found.stderr


def test_a_web_server_is_read_in_ranges(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.0)
    values = repository(web.folder / "models" / "a", 0)
    found = open_checkpoint(f"{web.address}/models/a")
    assert found.config == {"model_type": "x"} and found["w"].shape == (SIZE,)
    assert web.sent["models/a/model.safetensors"] == remote.HEAD
    web.refuse = 2  # a line that fails for a while
    assert np.array_equal(found["w"].read().view(np.float32), values)
    assert found.provenance()["address"] == f"{web.address}/models/a"
    with pytest.raises(CheckpointError, match="nothing|does not|lacks|no "):
        open_checkpoint(f"{web.address}/models/none")


@pytest.mark.parametrize("statuses", [[429, 429, 200], [503, 200], [502, 500, 504, 200]])
def test_a_busy_server_is_asked_again_also_for_side_files(web: Web, monkeypatch: pytest.MonkeyPatch, statuses: list[int]) -> None:
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.0)
    repository(web.folder / "models" / "a", 0)
    web.answers["config.json"] = statuses
    assert open_checkpoint(f"{web.address}/models/a").config == {"model_type": "x"}


def test_a_side_file_that_a_server_fails_to_send_does_not_count_as_missing(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.0)
    repository(web.folder / "models" / "a", 0)
    web.answers["config.json"] = [500]
    with pytest.raises(CheckpointError, match=r"cannot be read after 4 attempts \(the server answers 500\); try again later"):
        open_checkpoint(f"{web.address}/models/a")


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_side_file_that_a_server_refuses_counts_as_missing(web: Web, status: int) -> None:
    repository(web.folder / "models" / "a", 0)
    web.answers["config.json"] = [status]
    found = open_checkpoint(f"{web.address}/models/a")
    assert not found.config and found["w"].shape == (SIZE,)


def test_weights_that_a_server_refuses_are_one_sentence(web: Web) -> None:
    repository(web.folder / "models" / "a", 0)
    address = f"{web.address}/models/a"
    found = open_checkpoint(address)
    web.answers["model.safetensors"] = [403]
    with pytest.raises(CheckpointError, match=r"'model.safetensors': cannot be read \(the server answers 403\); check your access"):
        found["w"].read()


def test_shards_behind_a_server_without_listings_are_found_by_their_index(web: Web) -> None:
    folder = web.folder / "models" / "sharded"
    for number, name in enumerate("ab", 1):
        write_arrays(folder / f"model-0000{number}-of-00002.safetensors", {name: np.full(3, number, np.float32)})
    weight_map = {name: f"model-0000{number}-of-00002.safetensors" for number, name in enumerate("ab", 1)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    found = open_checkpoint(f"{web.address}/models/sharded")
    assert [found[name].read().view(np.float32).tolist() for name in "ab"] == [[1, 1, 1], [2, 2, 2]]
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match="'model-00002-of-00002.safetensors' is missing"):
        open_checkpoint(f"{web.address}/models/sharded")


def test_a_file_that_changes_on_the_server_is_noticed(web: Web, tmp_path: Path) -> None:
    folder = web.folder / "models" / "a"
    write_arrays(folder / "model.safetensors", {"w": np.zeros(8, np.float32)})
    found = open_checkpoint(f"{web.address}/models/a")
    found.check_unchanged()
    write_arrays(folder / "model.safetensors", {"w": np.ones(8, np.float32)})
    with pytest.raises(CheckpointError, match="'model.safetensors': was changed while it was read; run again"):
        found.check_unchanged()


@pytest.mark.parametrize("query", ["download=true", "signature=a/b%2Fc&expires=9"])
def test_a_link_with_a_query_is_a_file_and_its_query_is_told_to_nobody(web: Web, query: str) -> None:
    write_arrays(web.folder / "models" / "model.safetensors", {"w": np.arange(4, dtype=np.float32)})
    found = open_checkpoint(f"{web.address}/models/model.safetensors?{query}")
    assert found["w"].read().view(np.float32).tolist() == [0, 1, 2, 3]
    assert query not in json.dumps(publishable(found.provenance()))
    web.answers["model.safetensors"] = [403]
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(f"{web.address}/models/model.safetensors?{query}")
    assert str(caught.value).endswith("/models/model.safetensors': cannot be read (the server answers 403); check your access")


def test_the_hub_cannot_be_reached_is_said_and_changes_no_fingerprint(tmp_path: Path, web: Web) -> None:
    repository(web.folder / "org" / "a", 0)
    (tmp_path / "recipe.yml").write_text("merge_method: linear\nmodels:\n  - model: org/a\n    parameters: {weight: 1}\n")
    script = "import modelweave.checkpoints.open as o; c = o.open_checkpoint('org/a'); c['w'].read(); print(c.fingerprint(), c.warnings)"
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    environment.pop("HF_HUB_OFFLINE", None)

    def opened(endpoint: str) -> str:
        done = subprocess.run([sys.executable, "-c", script], env={**environment, "HF_ENDPOINT": endpoint}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    online = opened(web.address)
    away = opened("http://127.0.0.1:9")
    assert online.partition(" (")[0].strip() and "cannot be reached" not in online
    assert "the hub cannot be reached" in away and "the copy in the cache is taken" in away
    assert away.partition(" (")[0] == online.partition(" (")[0]


def test_a_file_that_changes_is_noticed_where_a_server_tells_only_dates(web: Web) -> None:
    web.etag = False
    path = web.folder / "models" / "a" / "model.safetensors"
    write_arrays(path, {"w": np.zeros(8, np.float32)})
    found = open_checkpoint(f"{web.address}/models/a")
    before = found.fingerprint()
    found.check_unchanged()
    os.utime(path, (1e9, 1e9))
    with pytest.raises(CheckpointError, match="was changed while it was read"):
        found.check_unchanged()
    assert open_checkpoint(f"{web.address}/models/a").fingerprint() != before


def test_a_line_that_breaks_is_no_missing_file(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.0)
    repository(web.folder / "models" / "a", 0)
    web.answers["config.json"] = [0] * 4 + [200]
    assert open_checkpoint(f"{web.address}/models/a").config == {"model_type": "x"}
    web.answers["config.json"] = [0]
    with pytest.raises(CheckpointError, match="cannot be read after 4 attempts"):
        open_checkpoint(f"{web.address}/models/a")


def test_a_file_that_vanishes_from_the_server_is_one_sentence(web: Web) -> None:
    repository(web.folder / "models" / "a", 0)
    found = open_checkpoint(f"{web.address}/models/a")
    (web.folder / "models" / "a" / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="'model.safetensors': was there, and is not any more .*; check the address"):
        found["w"].read()


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_refuses_everything_says_so(web: Web, status: int) -> None:
    repository(web.folder / "models" / "a", 0)
    web.answers = {name: [status] for name in remote._GUESSED}
    with pytest.raises(CheckpointError, match=f"cannot be read .the server answers {status}.; check your access"):
        open_checkpoint(f"{web.address}/models/a")


def test_files_are_found_on_a_page_of_links(web: Web) -> None:
    web.listing = True
    write_arrays(web.folder / "models" / "a" / "weights.safetensors", {"w": np.ones(2, np.float32)})
    (web.folder / "models" / "a" / "notes.txt").write_text("x")
    found = open_checkpoint(f"{web.address}/models/a")
    assert found["w"].read().view(np.float32).tolist() == [1, 1] and found.side_files() == ("notes.txt",)


def test_a_folder_with_a_token_in_its_address(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web.need = "sig=it'sSECRET"
    for seed, name in enumerate("ab"):
        repository(web.folder / name, seed)
    address = f"{web.address}/a?{web.need}"
    assert open_checkpoint(address).config == {"model_type": "x"}
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(f"{web.address}/none?{web.need}")
    assert "SECRET" not in str(caught.value)
    monkeypatch.chdir(tmp_path)
    members = "".join(f'  - model: "{web.address}/{name}?{web.need}"\n    parameters: {{weight: 1}}\n' for name in "ab")
    (tmp_path / "recipe.yml").write_text(f"merge_method: linear\nmodels:\n{members}")
    done = modelweave(["plan", "recipe.yml"], tmp_path, web)
    assert done.returncode == 0 and "SECRET" not in done.stdout + done.stderr
    done = modelweave(["plan", "recipe.yml", "--json"], tmp_path, web)
    assert done.returncode == 0 and "SECRET" not in done.stdout + done.stderr
    done = modelweave(["merge", "recipe.yml", "out"], tmp_path, web)
    assert done.returncode == 0 and "SECRET" not in done.stdout + done.stderr
    assert not any(b"SECRET" in path.read_bytes() for path in (tmp_path / "out").iterdir())


def test_a_link_that_was_signed_anew_is_the_same_input(web: Web) -> None:
    write_arrays(web.folder / "model.safetensors", {"w": np.ones(2, np.float32)})

    def identity(query: str) -> str:
        text = f"merge_method: linear\nmodels: [{{model: '{web.address}/model.safetensors?{query}', parameters: {{weight: 1}}}}]\n"
        (document,) = parse_recipe(text)
        return fingerprint(build_plan(document))

    assert identity("sig=1") == identity("sig=2")


def test_an_adapter_behind_a_link_with_a_query_is_applied(web: Web, tmp_path: Path) -> None:
    base = f"{web.address}/model.safetensors?download=true"
    write_arrays(web.folder / "model.safetensors", {"q.weight": np.zeros((3, 4), np.float32)})
    write_arrays(tmp_path / "ad" / "adapter_model.safetensors", {f"q.lora_{s}.weight": np.ones(n, np.float32) for s, n in SIDES.items()})
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q"]}
    (tmp_path / "ad" / "adapter_config.json").write_text(json.dumps(settings))
    found = open_checkpoint(f"{base}+{tmp_path / 'ad'}")
    assert found["q.weight"].read().view(np.float32).tolist() == [4] * 12


SIDES = {"A": (2, 4), "B": (3, 2)}


@pytest.mark.parametrize("offline", [False, True])
def test_a_cache_without_a_tokenizer_is_said(tmp_path: Path, web: Web, offline: bool) -> None:
    for seed, name in enumerate("ab"):
        repository(web.folder / "org" / name, seed)
    members = "".join(f"  - model: org/{name}\n    parameters: {{weight: 1}}\n" for name in "ab")
    (tmp_path / "recipe.yml").write_text(f"merge_method: linear\nmodels:\n{members}")
    assert modelweave(["merge", "recipe.yml", "out"], tmp_path, web).returncode == 0
    more = {"HF_HUB_OFFLINE": "1"} if offline else {"HF_ENDPOINT": "http://127.0.0.1:9"}
    again = modelweave(["plan", "recipe.yml"], tmp_path, web, **more)
    assert again.returncode == 0
    assert "model 'org/a': the cache holds no tokenizer; if the repository has one, it is neither compared" in again.stdout + again.stderr
