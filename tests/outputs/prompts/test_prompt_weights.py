"""Prompt weights: an example by hand, a reference that holds all logits, and the invariants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from modelweave.errors import CompatibilityError, ParameterError
from modelweave.outputs.prompts import prompt_weights as module
from modelweave.outputs.prompts.prompt_weights import MODES, outlying, prompt_weights

# Images are unit vectors, so a text's first two coordinates are its logits on them; the third is seen by generic images alone.
IMAGES = np.array([[1.0, 0, 0], [0, 1, 0]])
TEXTS = np.array([[[3.0, 1, 0], [1, 3, 0]], [[5, 5, -1], [4, 4, 0]]])
GENERIC = np.array([[0.5, 0.5, 1], [0.5, 0.5, 1]])  # logits 2, 2 and 4, 4
PLAIN: dict[str, Any] = {"scale": 1.0, "normalise": False}


def slow(images: Any, texts: Any, scale: float, generic: Any, debias: str, wide: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Scores and softmax with all logits at once, in float64."""

    def unit(rows: Any) -> np.ndarray:
        rows = np.asarray(rows, np.float64)
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

    logits = scale * np.einsum("id,pcd->ipc", unit(images), unit(texts))
    own = logits.mean(axis=0)
    other = scale * np.einsum("jd,pcd->jpc", unit(generic), unit(texts)).mean(axis=0)
    star = scale * np.einsum("jd,pcd->jpc", unit(generic), unit(texts if wide is None else wide)).mean(axis=(0, 2))[:, None]
    shift = {"none": 0, "test": own, "pretrain": other, "pretrain*": star, "both": (own + other) / 2}[debias]
    scores = (logits - shift).max(axis=2).mean(axis=0)
    return scores, np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()


def made(seed: int = 0, shape: tuple[int, int, int, int] = (30, 6, 5, 8)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n, p, c, d = shape
    random = np.random.default_rng(seed)
    return random.standard_normal((n, d)), random.standard_normal((p, c, d)), random.standard_normal((40, d))


def test_an_example_by_hand() -> None:
    found = prompt_weights(IMAGES, TEXTS, generic_embeddings=GENERIC, **PLAIN)
    assert found.debias == "both" and found.notes == ()
    assert found.scores == pytest.approx([1, 0.5])
    assert found.weights == pytest.approx([0.622459, 0.377541], abs=5e-7)
    assert found.logits(IMAGES) == pytest.approx(np.array([[3.755081, 2.132622], [2.510163, 3.377541]]), abs=5e-7)
    assert found.predict(IMAGES).tolist() == [0, 1]


def test_the_naive_weights_by_hand() -> None:
    found = prompt_weights(IMAGES, TEXTS, debias="none", **PLAIN)
    assert found.scores == pytest.approx([3, 5])
    assert found.weights == pytest.approx([0.119203, 0.880797], abs=5e-7)
    assert found.logits(IMAGES)[1] == pytest.approx([4.523188, 3.880797], abs=5e-7)
    assert found.predict(IMAGES).tolist() == [0, 0]


def test_outlying_by_hand() -> None:
    scores = [1, 2, 3, 4, 10]
    assert outlying(scores, 0.5).tolist() == [3, 4] and outlying(scores, 2).tolist() == [4] and outlying(scores, 7).tolist() == []
    assert outlying(scores, 1).tolist() == [4]  # 4 is at exactly one MAD, and the rule is strict
    assert outlying([1, 1, 1, 5], 0.5).tolist() == []  # MAD 0


@pytest.mark.parametrize("debias", MODES)
@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_against_all_logits_at_once(debias: str, block: int, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    images, texts, generic = (part.astype(kind) for part in made())
    scores, weights = slow(images, texts, 20.0, generic, debias)
    found = prompt_weights(images, texts, 20.0, generic_embeddings=generic, debias=debias)
    tight = 1e-12 if kind is np.float64 else 1e-5
    assert found.scores == pytest.approx(scores, rel=tight, abs=tight * 20) and found.weights == pytest.approx(weights, rel=tight * 100)
    unit = texts.astype(float) / np.linalg.norm(texts.astype(float), axis=-1, keepdims=True)
    assert found.class_embeddings == pytest.approx(np.einsum("p,pcd->cd", weights, unit), abs=tight * 100)
    assert found.logits(images).dtype == kind


def test_logits_are_the_weighted_sum_of_the_templates_own() -> None:
    images, texts, _ = made(1)
    found = prompt_weights(images, texts, 10.0)
    unit = [part / np.linalg.norm(part, axis=-1, keepdims=True) for part in (images, texts)]
    logits = 10 * np.einsum("p,id,pcd->ic", found.weights, *unit)
    assert found.logits(images) == pytest.approx(logits) and found.predict(images).tolist() == logits.argmax(axis=1).tolist()


def test_a_wide_list_of_classes() -> None:
    images, texts, generic = made(2)
    wide = np.random.default_rng(3).standard_normal((6, 11, 8))
    found = prompt_weights(images, texts, 20.0, generic_embeddings=generic, generic_texts=wide, debias="pretrain*")
    assert found.scores == pytest.approx(slow(images, texts, 20.0, generic, "pretrain*", wide)[0])


def test_a_constant_by_template_and_class_does_not_matter_in_mode_test() -> None:
    """A last coordinate of 1 in every image adds the text's last coordinate to all its logits."""
    images, texts, _ = made(4)
    images = np.hstack([images, np.ones((len(images), 1))])
    plain = np.concatenate([texts, np.zeros((6, 5, 1))], axis=2)
    moved = np.concatenate([texts, 3 * np.random.default_rng(5).standard_normal((6, 5, 1))], axis=2)
    one, other = (prompt_weights(images, t, debias="test", **PLAIN) for t in (plain, moved))
    assert one.scores == pytest.approx(other.scores, abs=1e-12)
    generic = [prompt_weights(images, t, debias="both", generic_embeddings=images, **PLAIN).scores for t in (plain, moved)]
    assert generic[0] == pytest.approx(generic[1], abs=1e-12)
    assert prompt_weights(images, plain, debias="none", **PLAIN).scores != pytest.approx(
        prompt_weights(images, moved, debias="none", **PLAIN).scores
    )


def test_one_template_and_equal_templates() -> None:
    images, texts, _ = made(6)
    assert prompt_weights(images, texts[:1]).weights.tolist() == [1.0]
    same = prompt_weights(images, np.repeat(texts[:1], 4, axis=0))
    assert same.weights.tolist() == [0.25] * 4


def test_permuting_classes_permutes_outputs_only() -> None:
    images, texts, generic = made(7)
    order = np.array([3, 0, 4, 1, 2])
    one, other = (prompt_weights(images, t, 20.0, generic_embeddings=generic) for t in (texts, texts[:, order]))
    assert one.weights == pytest.approx(other.weights, rel=1e-12)
    assert one.logits(images)[:, order] == pytest.approx(other.logits(images))


def test_permuting_templates_permutes_weights_and_images_do_not_matter_in_order() -> None:
    images, texts, generic = made(8)
    order = np.array([5, 2, 0, 4, 1, 3])
    one = prompt_weights(images, texts, 20.0, generic_embeddings=generic)
    other = prompt_weights(images[::-1], texts[order], 20.0, generic_embeddings=generic[::-1])
    assert one.weights[order] == pytest.approx(other.weights) and one.class_embeddings == pytest.approx(other.class_embeddings)


def test_length_of_rows_does_not_matter_unless_asked() -> None:
    images, texts, generic = made(9)
    one = prompt_weights(images, texts, 20.0, generic_embeddings=generic)
    other = prompt_weights(3 * images, texts * np.arange(1, 7)[:, None, None], 20.0, generic_embeddings=generic / 5)
    assert one.weights == pytest.approx(other.weights) and one.logits(images) == pytest.approx(other.logits(7 * images))
    taken = prompt_weights(images, texts, 20.0, normalise=False)
    assert taken.logits(2 * images) == pytest.approx(2 * taken.logits(images))


def test_scale_and_temperature() -> None:
    images, texts, _ = made(10)
    small, large = prompt_weights(images, texts, 1.0), prompt_weights(images, texts, 50.0)
    assert large.scores == pytest.approx(50 * small.scores) and small.weights.max() < large.weights.max()
    assert prompt_weights(images, texts, 50.0, temperature=50.0).weights == pytest.approx(small.weights)


def test_threshold_keeps_the_same_relative_weights() -> None:
    images, texts, _ = made(11, (30, 9, 5, 8))
    whole, some = prompt_weights(images, texts, 20.0), prompt_weights(images, texts, 20.0, threshold=0.5)
    kept = outlying(whole.scores, 0.5)
    assert some.selected.tolist() == kept.tolist() and 0 < len(kept) < 9 and whole.selected.tolist() == list(range(9))
    assert some.weights.sum() == pytest.approx(1) and np.flatnonzero(some.weights).tolist() == kept.tolist()
    assert some.weights[kept] == pytest.approx(whole.weights[kept] / whole.weights[kept].sum())
    assert some.scores.tolist() == whole.scores.tolist() and some.notes == whole.notes


def test_when_nothing_stands_out_all_are_kept_and_notes_say_so() -> None:
    images, texts, _ = made(12)
    whole = prompt_weights(images, texts, debias="none")
    for found in (
        prompt_weights(images, texts, debias="none", threshold=1e6),
        prompt_weights(images, np.repeat(texts[:1], 6, axis=0), debias="none", threshold=0.5),
    ):
        assert found.selected.tolist() == list(range(6)) and "all templates were kept" in found.notes[0]
    assert prompt_weights(images, texts, debias="none", threshold=1e6).weights.tolist() == whole.weights.tolist()


def test_without_generic_images_both_is_test_and_says_so() -> None:
    images, texts, _ = made(13)
    one, other = prompt_weights(images, texts), prompt_weights(images, texts, debias="test")
    assert one.debias == "test" and one.weights.tolist() == other.weights.tolist()
    assert "no generic_embeddings" in one.notes[0] and other.notes == ()


def test_torch_tensors_are_the_same() -> None:
    images, texts, generic = (part.astype(np.float32) for part in made(14))
    plain = prompt_weights(images, texts, 20.0, generic_embeddings=generic)
    tensors = [torch.tensor(part, requires_grad=True) for part in (images, texts, generic)]
    found = prompt_weights(*tensors[:2], 20.0, generic_embeddings=tensors[2])
    assert found.weights.tolist() == plain.weights.tolist()
    assert found.logits(tensors[0]).tolist() == plain.logits(images).tolist()
    half = prompt_weights(tensors[0].half(), tensors[1].bfloat16(), 20.0, generic_embeddings=tensors[2])
    assert half.class_embeddings.dtype == np.float32 and half.weights == pytest.approx(plain.weights, rel=0.1)
    assert prompt_weights(tensors[0].double(), tensors[1].double(), 20.0).class_embeddings.dtype == np.float64


def test_as_an_array_it_is_its_weights() -> None:
    images, texts, _ = made(15)
    found = prompt_weights(images, texts)
    assert np.asarray(found).tolist() == found.weights.tolist() and np.asarray(found, dtype=np.float32).dtype == np.float32
    copied = np.array(found)
    copied[0] = -1
    assert found.weights[0] >= 0


def test_logits_are_not_held_all_at_once() -> None:
    import tracemalloc

    random = np.random.default_rng(0)
    images, texts = random.standard_normal((3000, 16)).astype(np.float32), random.standard_normal((40, 100, 16)).astype(np.float32)
    tracemalloc.start()
    prompt_weights(images, texts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3000 * 40 * 100 * 4 / 2


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"debias": "tset"}, "did you mean 'test'"),
        ({"debias": "pretrain"}, "needs generic_embeddings"),
        ({"debias": "pretrain*"}, "needs generic_embeddings"),
        ({"scale": 0}, "scale must be above 0"),
        ({"scale": float("nan")}, "scale must be above 0"),
        ({"temperature": -1}, "temperature must be above 0"),
        ({"threshold": 0}, "threshold must be above 0"),
    ],
)
def test_bad_options(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        prompt_weights(IMAGES, TEXTS, **options)


def test_bad_arrays() -> None:
    images, texts, generic = made(16)
    holed, empty = images.copy(), images.copy()
    holed[3, 2], empty[4] = np.nan, 0
    for given, match in (
        ((images[0], texts), "image_embeddings must be numbers of shape"),
        ((images, texts[0]), "text_embeddings must be numbers of shape"),
        ((images[:0], texts), "not empty"),
        ((images[:, :7], texts), "image_embeddings have 7 dimensions, text_embeddings 8"),
        ((holed, texts), "image_embeddings holds NaN"),
        ((empty, texts), "row of zeros"),
        ((images.astype(str), texts), "must be numbers"),
    ):
        with pytest.raises(CompatibilityError, match=match):
            prompt_weights(*given)
    with pytest.raises(CompatibilityError, match="generic_embeddings have 3"):
        prompt_weights(images, texts, generic_embeddings=generic[:, :3])
    with pytest.raises(CompatibilityError, match=r"generic_texts must be \(6 templates"):
        prompt_weights(images, texts, generic_embeddings=generic, generic_texts=texts[:2], debias="pretrain*")
    with pytest.raises(CompatibilityError, match="have 7 dimensions"):
        prompt_weights(images, texts).logits(images[:, :7])
