"""Interference of several fine-tunes: by hand, against slow loops, and on the command line."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from modelweave.analysis import walk
from modelweave.analysis.interference import interfere
from modelweave.analysis.interference_figure import draw_interference
from modelweave.checkpoints.open import open_checkpoint
from modelweave.cli.app import main
from modelweave.errors import ModelweaveError

NAMES = [f"layers.{i}.{part}.weight" for i in range(2) for part in ("attn", "mlp")]


def models(members: int = 3, seed: int = 0) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    base = {name: torch.randn(6, 9, generator=generator) for name in (*NAMES, "embed.weight")}
    tuned = []
    for _ in range(members):
        keep = (torch.rand(6, 9, generator=generator) < 0.7).float()
        tuned.append({name: value + keep * torch.randn(6, 9, generator=generator) for name, value in base.items()})
    return [base, *tuned]


def opened(found: list[dict[str, torch.Tensor]]) -> list[Any]:
    return [open_checkpoint(model, label=label) for model, label in zip(found, ("base", "one", "two", "three", "four"), strict=False)]


def test_sums_against_slow_loops() -> None:
    stored = models()
    base, *members = opened(stored)
    found = interfere(base, members)
    assert found.labels == ("one", "two", "three") and len(found.groups) == 5
    group = next(g for g in found.groups if (g.layer, g.kind) == (1, "mlp"))
    deltas = [(m["layers.1.mlp.weight"].double() - stored[0]["layers.1.mlp.weight"].double()).numpy().ravel() for m in stored[1:]]
    for i, j in combinations(range(3), 2):
        u, v = deltas[i], deltas[j]
        both = [(a, b) for a, b in zip(u, v, strict=True) if a != 0 and b != 0]
        assert group.sums.cosine(i, j) == pytest.approx(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
        assert group.sums.conflict(i, j) == pytest.approx(sum(a * b < 0 for a, b in both) / len(both))
    norms = [np.linalg.norm(d) for d in deltas]
    assert group.sums.norms == pytest.approx(norms)
    assert group.sums.relative == pytest.approx(np.array(norms) / np.linalg.norm(stored[0]["layers.1.mlp.weight"].numpy()))
    assert group.sums.keeps("mean") == pytest.approx(np.linalg.norm(np.mean(deltas, 0)) / np.mean(norms))
    assert group.sums.keeps("magmax") == pytest.approx(np.linalg.norm(np.abs(deltas).max(0)) / np.mean(norms))
    elected = [np.mean([d[k] for d in deltas if d[k] * (1 if sum(x[k] for x in deltas) >= 0 else -1) > 0] or [0]) for k in range(54)]
    assert group.sums.keeps("elected mean") == pytest.approx(np.linalg.norm(elected) / np.mean(norms))


@pytest.mark.parametrize(
    ("way", "method", "options"), [("mean", "linear", {}), ("sum", "task_arithmetic", {}), ("ties", "ties", {"density": 0.2})]
)
def test_what_is_kept_is_what_the_methods_keep(way: str, method: str, options: dict[str, Any]) -> None:
    import modelweave

    stored = models()
    base, *members = opened(stored)
    total = interfere(base, members).total.sums
    ground = stored[0] if method != "linear" else None
    merged = modelweave.merge(stored[1:], method=method, base=ground, **options)
    norm = np.sqrt(sum(float((merged[name].double() - stored[0][name].double()).pow(2).sum()) for name in merged))
    assert total.keeps(way) == pytest.approx(norm / total.norms.mean(), rel=2e-2)


def test_pieces_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    base, *members = opened(models())
    whole = interfere(base, members).total.sums
    monkeypatch.setattr(walk, "CHUNK", 7)
    assert np.allclose(interfere(base, members).total.sums.gram, whole.gram)


def test_directions_in_common() -> None:
    base = {"w": torch.zeros(40, 40)}
    generator = torch.Generator().manual_seed(0)
    u, v = torch.randn(40, 2, generator=generator), torch.randn(2, 40, generator=generator)
    members = [
        {"w": u @ v},
        {"w": u @ torch.diag(torch.tensor([2.0, -1.0])) @ v},
        {"w": torch.randn(40, 2, generator=generator) @ torch.randn(2, 40, generator=generator)},
    ]
    ground, *opened_members = opened([base, *members])
    sums = interfere(ground, opened_members, spectra=True).total.sums
    assert sums.overlap_of(0, 1) == pytest.approx(1, abs=0.05) and sums.overlap_of(0, 2) < 0.3
    assert sums.chance_of(0, 1) <= 2 / 40


def test_members_that_change_nothing_and_tensors_that_differ() -> None:
    base, one, two = models(2)
    two = {**base, "extra": torch.ones(2), "layers.0.mlp.weight": torch.ones(3)}
    found = interfere(*(lambda o: (o[0], o[1:]))(opened([base, one, two])))
    assert found.total.sums.cosine(0, 1) is None and found.total.sums.conflict(0, 1) is None
    assert found.skipped == {"layers.0.mlp.weight": "shapes differ: 6x9, 6x9, 3", "extra": "only in 'two'"}
    with pytest.raises(ModelweaveError, match="have no floating tensor of one name and shape"):
        interfere(*(lambda o: (o[0], o[1:]))(opened([{"x": torch.ones(2)}, {"y": torch.ones(2)}])))


def drawn(monkeypatch: pytest.MonkeyPatch, found: Any) -> Any:
    figures: list[Any] = []
    monkeypatch.setattr("modelweave.analysis.interference_figure.save_figure", lambda figure, file: figures.append(figure))
    draw_interference(found, "i.png")
    figures[0].draw_without_rendering()
    return figures[0]


def test_the_figure_is_legible(monkeypatch: pytest.MonkeyPatch) -> None:
    base, one, _, three = models()
    names = ("base", "one", "a-name-that-is-much-too-long-for-an-axis", "three")
    same = {name: base[name] + 0.9 * (one[name] - base[name]) for name in base}
    found = interfere(
        *(lambda o: (o[0], o[1:]))([open_checkpoint(m, label=n) for m, n in zip((base, one, same, three), names, strict=True)])
    )
    figure = drawn(monkeypatch, found)
    pairs, lines, kept = figure.axes[:3]
    assert [text.get_text() for text in pairs.get_xticklabels()] == ["one", "…" + names[2][-17:], "three"]
    colours = {(text.get_position()): (text.get_text(), text.get_color()) for text in pairs.texts}
    assert colours[1, 0] == ("1.00", "white") and colours[2, 0][1] == "black"
    assert not [text for text, _ in colours.values() if text == "-0.00"]
    assert kept.get_title() == "size kept by a merge"
    for axes in (lines, kept):
        assert axes.get_xticks().tolist() == [0, 1]
        assert axes.get_legend().get_window_extent().y1 <= axes.get_window_extent().y0
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0 and box.y1 <= figure.bbox.height


def test_the_figure_without_layers_and_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [open_checkpoint({"w": torch.full((2,), value)}, label=str(value)) for value in (0.0, 1.0, 2.0, 0.0)]
    figure = drawn(monkeypatch, interfere(alone[0], alone[1:]))
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["outside the layers"]
    assert {text.get_text() for text in figure.axes[0].texts} == {"1.00", "-"}
    layers = [open_checkpoint({f"h.{i}.w": torch.full((2,), i + value) for i in range(40)}, label=str(value)) for value in (0.0, 1.0, 2.0)]
    ticks = drawn(monkeypatch, interfere(layers[0], layers[1:])).axes[1].get_xticks()
    assert ticks.tolist() == list(range(0, 40, 4))


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, model in zip(("base", "one", "two", "three"), models(), strict=True):
        save_file(model, f"{name}.safetensors")
    files = [f"{name}.safetensors" for name in ("one", "two", "three")]
    assert main(["diff", *files, "--base", "base.safetensors", "--png", "seen.png"]) == 0
    shown = capsys.readouterr().out
    assert "keeps ties" in shown and shown.count("one.safetensors") == 3 and Path("seen.png").stat().st_size > 5000
    assert main(["diff", *files, "--base", "base.safetensors", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["total"]["cosines"]) == 3 and found["total"]["overlaps"] == [None] * 3
    assert main(["diff", *files[:2], "--base", "base.safetensors", "--overlap"]) == 0
    assert "by chance" in capsys.readouterr().out
    assert main(["diff", *files]) == 2
    assert "none is given; add --base" in capsys.readouterr().err


@pytest.mark.parametrize(("who", "words"), [(0, "of the base"), (2, "of model 2 of those compared")])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused_by_name(who: int, words: str, value: float) -> None:
    stored = models()
    stored[who]["layers.1.mlp.weight"][2, 3] = value
    base, *members = opened(stored)
    for spectra in (False, True):
        with pytest.raises(ModelweaveError, match=f"layers.1.mlp.weight {words} holds NaN or infinity; fix it first"):
            interfere(base, members, spectra=spectra)
