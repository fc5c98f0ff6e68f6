"""The record of a merge."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelweave
from modelweave.checkpoints.results.manifest import manifest, publishable, without_paths
from modelweave.errors import without_secrets


def record(**more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"recipe": {}, "inputs": [], "tensors": [], "seed": 3, "seconds": 1.23456, **more}
    return manifest(**given)


def test_it_says_what_happened() -> None:
    found = record(recipe={"merge_method": "ties"}, inputs=[{"label": "a", "sha256": "00"}], tensors=[{"name": "w"}], dropped={"x": "y"})
    assert (found["format"], found["seed"], found["seconds"]) == (1, 3, 1.235)
    assert found["recipe"] == {"merge_method": "ties"} and found["dropped"] == {"x": "y"}
    assert found["inputs"] == [{"label": "a", "sha256": "00"}] and found["tensors"] == [{"name": "w"}]
    assert found["versions"]["modelweave"] == modelweave.__version__ and found["versions"]["numpy"] == np.__version__
    created = datetime.fromisoformat(found["created"])
    assert created.utcoffset() == timedelta(0) and abs(datetime.now(timezone.utc) - created) < timedelta(minutes=1)


def test_a_tensors_name_stays_as_it_is() -> None:
    names = ["/tower/blocks/0/w", "s3://key:secret@x/w?b", "a'/b/c'"]
    assert [row["name"] for row in record(tensors=[{"name": name} for name in names])["tensors"]] == names


def test_models_whose_names_look_alike_keep_their_own_lines() -> None:
    labels = ["/home/ann/a", "/home/bob/a", "b"]
    found = record(inputs=[{"label": label} for label in labels], dropped={f"{label}: x": "left out" for label in labels})
    assert found["dropped"] == {"a: x": "left out", "a (2): x": "left out", "b: x": "left out"}


def test_any_value_becomes_plain_json() -> None:
    odd = {
        1: np.float32(0.5),
        "t": (1, True, None),
        "s": {"b", "a"},
        "n": float("nan"),
        "i": np.int64(7),
        "p": Path("x/y"),
        "d": np.dtype("f4"),
    }
    found = record(recipe=odd)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["recipe"] == {"1": 0.5, "t": [1, True, None], "s": ["a", "b"], "n": "nan", "i": 7, "p": "x/y", "d": "float32"}


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://ann:key@host:8/m?X-Amz-Signature=1#part", "https://host:8/m"),
        ("https://a:k@h/x+https://b:l@h/y", "https://h/x+https://h/y"),
        ("model 'https://ann:key@host/m?token=1': tensor w", "model 'https://host/m': tensor w"),
        ("s3://key:p@ss@bucket/m", "s3://bucket/m"),
        ("zip://m.safetensors::https://me:key@h/a.zip?sig=1", "zip://m.safetensors::https://h/a.zip"),
        ("https://h/a,https://me:key@g/b", "https://h/a,https://g/b"),
        ("http://h/a?sig=it's, http://me:it's@h/b?sig=it's", "http://h/a http://h/b"),
        ("https://h/x?sig=1+https://h/y?sig=2+https://me:k@h/z", "https://h/x+https://h/y+https://h/z"),
        ("model 'https://h/x?sig=1+https://h/y?sig=2': no", "model 'https://h/x+https://h/y': no"),
        ("https://[bad/m", "https://[bad/m"),
        ("org/name@main", "org/name@main"),
        ("https://host/m@v1", "https://host/m@v1"),
        ("what? # no address", "what? # no address"),
    ],
)
def test_secrets_in_addresses(text: str, clean: str) -> None:
    assert without_secrets(text) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/home/ann/a", "a"),
        ("/home/ann/a/", "a"),
        ("~/a", "a"),
        ("~ann/a", "a"),
        ("C:\\models\\a", "a"),
        ("file:///home/ann/a", "a"),
        ("/home/ann/a+/home/ann/b", "a+b"),
        ("../a", "../a"),
        ("org/a@main", "org/a@main"),
        ("s3://bucket/a", "s3://bucket/a"),
        ("/", "/"),
    ],
)
def test_paths_of_this_machine(text: str, clean: str) -> None:
    assert without_paths(text) == clean


def test_paths_go_wherever_they_stand_and_other_words_stay() -> None:
    given = {
        "/home/ann/a": "model '/home/ann/a': w is missing",
        "tokens": ["</s>", "/s", "//", "/", "a/b", "mlp\\.0"],
        "template": "{% if x %}\n/home/ann/kept as text\n{% endif %}",
    }
    assert publishable(given) == {
        "a": "model 'a': w is missing",
        "tokens": ["</s>", "/s", "//", "/", "a/b", "mlp\\.0"],
        "template": "{% if x %}\n/home/ann/kept as text\n{% endif %}",
    }


def test_torch_is_not_imported_for_its_version() -> None:
    code = (
        "import sys, modelweave.checkpoints.results.card, modelweave.checkpoints.results.folder\n"
        "from modelweave.checkpoints.results.manifest import manifest\n"
        "record = manifest(recipe={}, inputs=[], tensors=[], seed=0, seconds=0)\n"
        "assert 'torch' not in record['versions'] and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
