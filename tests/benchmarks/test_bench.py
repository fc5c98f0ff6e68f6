"""The benchmark's own parts: inputs that are what they say, a table that computes what it says."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from safetensors.torch import load_file

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Import a file of benchmarks/ the way a run of bench.py does."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(SCRIPTS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_checkpoints_load_repeat_and_differ_slightly(tmp_path: Path, script) -> None:
    make: ModuleType = script("make_checkpoints")
    first, second = (make.write_checkpoints(tmp_path / name, "tiny") for name in ("one", "two"))
    for member in make.MEMBERS:
        at = "model.safetensors"
        assert (first[member] / at).read_bytes() == (second[member] / at).read_bytes()
    base, tuned = (load_file(first[member] / "model.safetensors") for member in ("base", "a"))
    assert sum(tensor.numel() for tensor in base.values()) == make.SIZES["tiny"].parameters
    name = "model.embed_tokens.weight"
    assert 0.019 < float(base[name].float().std()) < 0.021
    assert 0.0009 < float((tuned[name].float() - base[name].float()).std()) < 0.0012
    assert float((tuned[name] != base[name]).float().mean()) > 0.9
    assert json.loads((first["a"] / "config.json").read_text())["num_hidden_layers"] == 1


def test_sizes_are_what_their_names_say(script) -> None:
    sizes = script("make_checkpoints").SIZES
    assert sizes["1.1b"].parameters == 1_100_048_384  # TinyLlama's count
    assert 45e6 < sizes["50m"].parameters < 55e6


def test_bf16_rounds_to_nearest_even_as_torch_does(script) -> None:
    import numpy as np
    import torch

    values = np.random.default_rng(0).normal(0, 1, 10_000).astype(np.float32)
    values[:2] = [1.00390625, 1.01171875]  # halfway between two neighbours
    expected = torch.from_numpy(values).bfloat16().view(torch.uint16).numpy()
    assert np.array_equal(script("make_checkpoints")._to_bf16(values.copy()), expected)


def test_recipes_name_their_inputs(script) -> None:
    methods = script("methods").METHODS
    recipes = {method: yaml.safe_load(timed.recipe(method)) for method, timed in methods.items()}
    assert "base_model" not in recipes["linear"] and methods["linear"].inputs == ("a", "b", "c")
    assert [model["model"] for model in recipes["slerp"]["models"]] == ["base", "a"] == list(methods["slerp"].inputs)
    assert recipes["ties"]["models"][2] == {"model": "c", "parameters": {"weight": 1.0, "density": 0.2}}
    assert methods["ties"].inputs == ("base", "a", "b", "c")


def test_ratios_by_hand(tmp_path: Path, script) -> None:
    report, cost = script("report"), script("measure").Cost

    def costs(*walls: float) -> dict[str, float]:
        return report.summary([cost(wall, 2 * wall, 10**9) for wall in walls])

    result = {
        "size": "50m",
        "parameters": 50_000_000,
        "runs": 2,
        "date": "2026-01-02",
        "machine": {"cores": 2, "memory_gb": 8, "system": "Linux"},
        "floors": {"3": costs(1.0, 1.5)},
        "tools": {
            "modelweave": {"startup": costs(0.5, 0.6), "methods": {"linear": costs(2.5, 2.0)}},
            "mergekit": {"startup": costs(6.0, 6.0), "methods": {"linear": costs(20.0, 22.0)}},
        },
    }
    head, line = report.rows(result)
    found = dict(zip(head, line, strict=True))
    assert found["modelweave s"] == "2.00 (2.25)" and found["CPU s"] == "4.0"
    assert found["floors"] == "1.50"  # (2.0 - 0.5) / 1.0
    assert found["times faster"] == "10.0" and found["goal"] == "6"

    json_file, docs = tmp_path / "results.json", tmp_path / "docs" / "benchmarks.md"
    report.write(result, json_file=json_file, docs=docs)
    report.write({**result, "size": "1.1b", "parameters": 1.1e9}, json_file=json_file, docs=docs)
    assert list(json.loads(json_file.read_text())) == ["50m", "1.1b"]
    assert "## 50 M parameters" in docs.read_text() and "## 1,100 M parameters" in docs.read_text()


def test_a_failing_process_says_what_it_printed(script) -> None:
    measure = script("measure")
    with pytest.raises(SystemExit, match="ended with 3:\nno room"):
        measure.run_process(["sh", "-c", "echo no room >&2; exit 3"], cwd=Path("."))
    used = measure.run_process([sys.executable, "-c", "b = bytearray(10**8)"], cwd=Path("."))
    assert used.peak > 10**8 and used.wall > 0
