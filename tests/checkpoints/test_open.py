"""What a user may write as a model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelweave.checkpoints.open import open_checkpoint
from modelweave.errors import CheckpointError, ModelweaveError

from .files import write_arrays

W = {"w": np.arange(3, dtype=np.float32)}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_a_path_from_here_then_from_near(tmp_path: Path) -> None:
    write_arrays(tmp_path / "recipes" / "a" / "model.safetensors", W)
    assert list(open_checkpoint("a", near=tmp_path / "recipes")) == ["w"]
    write_arrays(tmp_path / "a" / "model.safetensors", {"here": W["w"]})
    assert list(open_checkpoint("a", near=tmp_path / "recipes")) == ["here"]
    assert list(open_checkpoint(Path("recipes") / "a")) == ["w"]
    opened = open_checkpoint("a", label="first")
    assert opened.label == "first" and opened.folder == Path("a")
    assert open_checkpoint(opened, label="other") is opened


def test_a_path_with_marks_of_its_own_wins(tmp_path: Path) -> None:
    for name in ("a+b", "org/name@main", "x@y"):
        write_arrays(tmp_path / name / "model.safetensors", W)
        assert list(open_checkpoint(name)) == ["w"]


def test_a_single_file_stands_alone(tmp_path: Path) -> None:
    write_arrays(tmp_path / "model.safetensors", W)
    (tmp_path / "config.json").write_text("{}")
    found = open_checkpoint("model.safetensors")
    assert found.config is None and found.side_files() == () and found.folder is None
    assert found.provenance()["path"] == "model.safetensors"


def test_what_does_not_exist_says_where_it_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    write_arrays(tmp_path / "models" / "tuned" / "model.safetensors", W)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint("./models/tuned2", near="recipes")
    assert "looked for './models/tuned2' and 'recipes/./models/tuned2'" in str(caught.value)
    assert "near it there is 'tuned'" in str(caught.value)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint("models/tuned3")
    assert "there is no folder 'models/tuned3'" in str(caught.value) and "hub" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "\0", "+", "a+", "+a", "x" * 5000, "a/" * 3000, "\ud800", "~", "~nobody/x", "zzz://x", "memory://none", "://", "a@b@c", "\n"],
)
def test_odd_names_are_errors_of_ours(text: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("thing", [3, None, b"x", ["a"], object()])
def test_odd_things_are_errors_of_ours(thing: Any) -> None:
    with pytest.raises(CheckpointError, match="expected a path"):
        open_checkpoint(thing)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30).filter(lambda text: "://" not in text and "::" not in text))
def test_any_text_opens_or_is_refused(text: str) -> None:
    try:
        open_checkpoint(text)
    except ModelweaveError:
        pass


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def snapshot(cache: Path, repo: str = "org/name") -> Path:
    root = cache / ("models--" + repo.replace("/", "--"))
    folder = root / "snapshots" / COMMIT
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    blob = root / "blobs" / ("ab" * 32)
    write_arrays(blob, W)
    folder.mkdir(parents=True)
    os.symlink(blob, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "x"}')
    return folder


def test_the_hubs_cache_offline(tmp_path: Path) -> None:
    snapshot(tmp_path / "cache")
    for text in ("org/name", "org/name@main", f"org/name@{COMMIT}"):
        found = open_checkpoint(text)
        record = found.provenance()
        assert list(found) == ["w"] and record["repo"] == "org/name" and record["revision"] == COMMIT
        assert record["files"][0]["sha256"] == "ab" * 32
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE"):
        open_checkpoint("org/name@other")


def test_a_hub_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Api:
        def model_info(self, repo: str, **_: Any) -> Any:
            raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    with pytest.raises(CheckpointError, match=r"no folder 'org/name', and 'org/name' cannot be had from the hub, which cannot be reached"):
        open_checkpoint("org/name")
    snapshot(tmp_path / "cache")
    assert list(open_checkpoint("org/name")) == ["w"]
