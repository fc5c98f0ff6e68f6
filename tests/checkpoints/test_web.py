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

from modelweave.checkpoints import remote
from modelweave.checkpoints.open import open_checkpoint
from modelweave.errors import CheckpointError

from .files import write_arrays
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
