"""Steps after a method: LiNeS by hand, on methods of each kind, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import modelweave
from modelweave import merge_recipe

BASE = {"embed.weight": torch.zeros(2), **{f"layers.{i}.w": torch.zeros(2, 2) for i in range(3)}, "head.weight": torch.zeros(2)}
MEMBER = {name: torch.ones_like(value) for name, value in BASE.items()}


def factors(merged: dict[str, torch.Tensor]) -> list[float]:
    return [round(float(value.reshape(-1)[0]), 6) for value in merged.values()]


def test_the_factors_by_hand() -> None:
    step = {"lines": {"alpha": 0.2, "beta": 0.6}}
    merged = modelweave.merge([MEMBER], method="task_arithmetic", base=BASE, after=[step])
    assert factors(merged) == [0.2, 0.2, 0.5, 0.8, 0.2]
    halved = modelweave.merge([MEMBER], method="task_arithmetic", base=BASE, after=[step], scale=0.5)
    assert factors(halved) == [0.1, 0.1, 0.25, 0.4, 0.1]
    assert factors(modelweave.merge([MEMBER, MEMBER], method="ties", base=BASE, after=["lines"])) == [0.5, 0.5, 0.75, 1.0, 0.5]
    prepared = modelweave.prepare([MEMBER], method="task_arithmetic", base=BASE, after=[step])
    assert factors(prepared.at(0.5)) == factors(halved)


@pytest.mark.parametrize("method", ["sce", "nearswap", "model_stock", "nuslerp", "multislerp", "ram", "della"])
def test_any_method_on_changes_can_be_followed_by_it(method: str) -> None:
    generator = torch.Generator().manual_seed(0)
    members = [{n: torch.randn(v.shape, generator=generator) for n, v in BASE.items()} for _ in range(1 if method == "nearswap" else 2)]
    options: dict[str, Any] = {"t": 0.5} if method == "nearswap" else {}
    plain = modelweave.merge(members, method=method, base=BASE, **options)
    scaled = modelweave.merge(members, method=method, base=BASE, after=[{"lines": {"alpha": 0.2, "beta": 0.6}}], **options)
    for name, factor in zip(BASE, (0.2, 0.2, 0.5, 0.8, 0.2), strict=True):
        assert torch.allclose(scaled[name], factor * plain[name], atol=1e-6)


@pytest.mark.parametrize(
    ("method", "after", "sentence"),
    [
        ("task_arithmetic", ["line"], r"after\[0\]: unknown step 'line'; did you mean 'lines'"),
        ("task_arithmetic", [{"lines": {"alfa": 1}}], r"after\[0\].lines: unknown parameter of lines 'alfa'; did you mean 'alpha'"),
        ("task_arithmetic", [{"lines": {"alpha": -1}}], r"after\[0\].lines: alpha must be a number at least 0, got -1"),
        ("task_arithmetic", [{"lines": 3}], r"after\[0\].lines: expected parameters by name, got 3"),
        ("task_arithmetic", [{"lines": None, "other": None}], r"after\[0\]: expected the name of a step"),
        ("karcher", ["lines"], "after: scales changes from a base, and karcher has none here; take a method that merges changes"),
    ],
)
def test_what_is_no_step_is_one_sentence(method: str, after: list[Any], sentence: str) -> None:
    with pytest.raises(modelweave.ModelweaveError, match=sentence):
        modelweave.merge([MEMBER], method=method, base=BASE, after=after)


def test_in_a_recipe(tmp_path: Path) -> None:
    save_file(BASE, tmp_path / "base.safetensors")
    save_file(MEMBER, tmp_path / "tuned.safetensors")
    (tmp_path / "r.yml").write_text(
        "merge_method: task_arithmetic\nbase_model: base.safetensors\nmodels: [{model: tuned.safetensors}]\n"
        "after: [{lines: {alpha: 0.2, beta: 0.6}}]\n"
    )
    merge_recipe(tmp_path / "r.yml", tmp_path / "out")
    merged = load_file(tmp_path / "out" / "model.safetensors")
    assert [round(float(merged[f"layers.{i}.w"][0, 0]), 6) for i in range(3)] == [0.2, 0.5, 0.8]
