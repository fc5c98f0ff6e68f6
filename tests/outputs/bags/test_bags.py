"""The attention head by hand, and the classifier of bags."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone

from modelweave import RepeatedFoldClassifier
from modelweave.errors import ModelweaveError
from modelweave.outputs.bags.attention_head import AttentionHead, pad
from modelweave.outputs.bags.bag_classifier import BagClassifier


def make_bags(seed: int, count: int = 80, width: int = 6) -> tuple[list[np.ndarray], np.ndarray]:
    """Bags of 3 to 9 instances, of which one is shifted in those of class 1."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 2, count)
    bags = [random.standard_normal((random.integers(3, 10), width)) for _ in y]
    for bag, label in zip(bags, y, strict=True):
        bag[0, 0] += 5 * label
    return bags, y


def test_parameters_are_as_many_as_the_papers() -> None:
    assert sum(p.numel() for p in AttentionHead(1024, 128).parameters()) == 164_482


def test_the_head_by_slow_loops() -> None:
    torch.manual_seed(0)
    head = AttentionHead(5, 4, 3).double()
    bag = torch.randn(7, 5, dtype=torch.float64)
    scores, attention = head(bag[None], torch.zeros(1, 7, dtype=torch.bool))
    value = {name: p.detach().numpy() for name, p in head.named_parameters()}
    embedded = [value["embed.weight"] @ x + value["embed.bias"] for x in bag.numpy()]
    raw = []
    for v in embedded:
        gate = 1 / (1 + np.exp(-(value["gate.weight"] @ v + value["gate.bias"])))
        raw.append((value["attend.weight"] @ (np.tanh(value["signal.weight"] @ v + value["signal.bias"]) * gate) + value["attend.bias"])[0])
    weights = np.exp(raw) / np.exp(raw).sum()
    expected = value["score.weight"] @ sum(w * v for w, v in zip(weights, embedded, strict=True)) + value["score.bias"]
    assert attention[0].detach().numpy() == pytest.approx(weights) and scores[0].detach().numpy() == pytest.approx(expected)


def test_padding_and_order_change_nothing() -> None:
    torch.manual_seed(1)
    head = AttentionHead(5, 4)
    short, long = torch.randn(3, 5), torch.randn(9, 5)
    together, attention = head(*pad([short, long]))
    assert together[0].item() == pytest.approx(head(*pad([short]))[0].item(), abs=1e-6)
    assert attention[0, 3:].abs().max() == 0 and attention.sum(dim=1).detach().numpy() == pytest.approx([1, 1])
    assert head(*pad([long.flip(0)]))[0].item() == pytest.approx(together[1].item(), abs=1e-6)


def test_a_bag_of_one_is_the_linear_map() -> None:
    torch.manual_seed(2)
    head = AttentionHead(5, 4)
    one = torch.randn(1, 5)
    scores, attention = head(*pad([one]))
    assert attention.item() == 1 and scores.item() == pytest.approx(head.score(head.embed(one)).item(), abs=1e-6)


def test_bags_are_learnt_and_attention_finds_the_instance() -> None:
    bags, y = make_bags(0)
    new, truth = make_bags(1)
    found = BagClassifier(8, epochs=40, rate=0.02).fit(bags, y)
    assert found.score(new, truth) > 0.85
    weights = found.attention(new)
    assert [len(w) for w in weights] == [len(bag) for bag in new]
    hit = np.mean([w.argmax() == 0 for w, label in zip(weights, truth, strict=True) if label])
    assert hit > 0.8
    again = clone(found).fit(bags, y)
    assert np.array_equal(again.predict_proba(new), found.predict_proba(new))


def test_several_classes_words_and_few_bags() -> None:
    bags, y = make_bags(2, 12)
    for bag in bags[:4]:
        bag[:, 3] += 6
    words = np.where(np.arange(12) < 4, "third", np.where(y == 1, "yes", "no"))
    found = BagClassifier(8, epochs=60, rate=0.02, batch=64).fit(bags, words)
    p = found.predict_proba(bags)
    assert p.shape == (12, 3) and p.sum(axis=1) == pytest.approx(np.ones(12)) and found.score(bags, words) > 0.9
    assert set(found.classes_) <= {"no", "third", "yes"}


def test_large_bags_are_drawn_from_once() -> None:
    bags, y = make_bags(3, 20)
    found = BagClassifier(4, epochs=2, tiles=2).fit(bags, y)
    assert all(len(w) == 2 for w in found.attention(bags))


def test_an_ensemble_over_repeated_folds_takes_bags() -> None:
    bags, y = make_bags(4, 40)
    new, truth = make_bags(5, 30)
    found = RepeatedFoldClassifier(BagClassifier(6, epochs=25, rate=0.02), cv=2, repeats=2).fit(bags, y, groups=np.arange(40) // 2)
    assert found.out_of_fold_.shape == (40, 2) and np.mean(found.predict(new) == truth) > 0.7
    assert len({model.random_state for model in found.estimators_}) == 4
    table = RepeatedFoldClassifier(BagClassifier(6, epochs=5), cv=2, repeats=1).fit(np.array([bag[0] for bag in bags]), y)
    assert table.predict(np.array([bag[0] for bag in new])).shape == (30,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda b, y: BagClassifier().fit([], []), "expected at least one bag, got none"),
        (lambda b, y: BagClassifier().fit([*b[:-1], np.zeros((0, 6))], y), "bag 79 has shape"),
        (lambda b, y: BagClassifier().fit([*b[:-1], np.zeros((2, 5))], y), r"bag 79 has shape \(2, 5\), expected \(instances, 6\)"),
        (lambda b, y: BagClassifier().fit([*b[:-1], np.full((2, 6), np.nan)], y), "bag 79 holds NaN or infinity"),
        (lambda b, y: BagClassifier().fit(b, y[:-1]), "expected a label for each of 80 bags, got 79"),
        (lambda b, y: BagClassifier().fit(b, np.zeros(80)), "have the one class"),
        (lambda b, y: BagClassifier(epochs=0).fit(b, y), "epochs must be at least 1, got 0"),
        (lambda b, y: BagClassifier(4, epochs=1).fit(b, y).predict([np.zeros((2, 3))]), "expected instances of 6 numbers, got 3"),
    ],
)
def test_what_is_wrong_is_one_sentence(make: Any, message: str) -> None:
    with pytest.raises(ModelweaveError, match=message):
        make(*make_bags(0))
