"""Members that are no estimators: what they predict is what the module or function says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import GaussianNB

from modelweave.errors import CompatibilityError, ParameterError
from modelweave.outputs.estimators.adapters import CallableMember, TorchMember
from modelweave.outputs.estimators.blend import BlendClassifier, BlendRegressor
from modelweave.outputs.estimators.stack import StackClassifier

X, KIND = load_iris(return_X_y=True)
WORDS = np.array(["a", "b", "c"])[KIND]


def module(outputs: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Dropout(0.5), torch.nn.ReLU(), torch.nn.Linear(5, outputs))


def by_hand(net: Any) -> Any:
    """The forward pass in float64 NumPy, without dropout."""
    (a, b), (c, d) = [(net[i].weight.detach().double().numpy(), net[i].bias.detach().double().numpy()) for i in (0, 3)]
    return np.maximum(X @ a.T + b, 0) @ c.T + d


def test_a_module_of_several_classes() -> None:
    net = module(3)
    scores = np.exp(by_hand(net))
    found = TorchMember(net, classes=["a", "b", "c"], batch=64).predict_proba(X)
    np.testing.assert_allclose(found, scores / scores.sum(axis=1, keepdims=True), atol=1e-6)
    assert net.training and net[1].training
    frame = pd.DataFrame(X)
    np.testing.assert_allclose(TorchMember(net, classes=["a", "b", "c"]).predict_proba(frame), found, atol=1e-6)
    np.testing.assert_allclose(TorchMember(net, classes=["a", "b", "c"]).predict_proba(sparse.csr_array(X)), found, atol=1e-6)
    whole = TorchMember(net, classes=["a", "b", "c"], batch=1000).predict_proba(X)
    np.testing.assert_allclose(found, whole, atol=1e-6)


def test_a_module_of_two_classes_and_one_of_numbers() -> None:
    net = module(1)
    odds = by_hand(net)[:, 0]
    p = TorchMember(net, classes=[0, 1]).predict_proba(X)
    np.testing.assert_allclose(p, np.column_stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))]), atol=1e-6)
    np.testing.assert_allclose(TorchMember(net).predict(X), odds, atol=1e-5)
    assert is_regressor(TorchMember(net)) and is_classifier(TorchMember(net, classes=[0, 1]))
    assert not hasattr(TorchMember(net), "predict_proba")


def test_a_module_with_its_own_inputs_and_outputs() -> None:
    class Bag(torch.nn.Module):
        """Whole numbers in, an object with probabilities in it out."""

        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(10, 2)

        def forward(self, ids: Any) -> Any:
            from types import SimpleNamespace

            return SimpleNamespace(logits=self.table(ids).sum(1))

    net = Bag()
    ids = np.random.default_rng(0).integers(0, 10, (20, 3))
    table = net.table.weight.detach().double().numpy()
    scores = np.exp(table[ids].sum(axis=1))
    found = TorchMember(net, classes=["x", "y"]).predict_proba(ids)
    np.testing.assert_allclose(found, scores / scores.sum(axis=1, keepdims=True), atol=1e-6)
    words = [" ".join(map(str, row)) for row in ids]
    read = TorchMember(net, classes=["x", "y"], prepare=lambda rows: torch.tensor([[int(w) for w in text.split()] for text in rows]))
    np.testing.assert_allclose(read.predict_proba(words), found, atol=1e-6)
    shares = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Softmax(-1))
    outs = TorchMember(shares, classes=["x", "y"], outputs="probabilities").predict_proba(ids.astype(float))
    np.testing.assert_allclose(outs, shares(torch.tensor(ids).float()).detach().numpy(), atol=1e-6)


def test_in_an_ensemble_they_stay_as_they_are() -> None:
    net = module(3)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    frozen = TorchMember(net, classes=["c", "a", "b"])
    assert clone(frozen) is frozen
    known = CallableMember(lambda rows: np.eye(3)[(rows[:, 2] > 2.5) * 1 + (rows[:, 2] > 4.9)] * 0.7 + 0.1, classes=["a", "b", "c"])
    found = BlendClassifier([("net", frozen), ("rule", known), ("normal", GaussianNB())], method="mean", cv=3).fit(X, WORDS)
    # the module's columns are brought into the order of labels
    mean = (frozen.predict_proba(X)[:, [1, 2, 0]] + known.predict_proba(X) + GaussianNB().fit(X, WORDS).predict_proba(X)) / 3
    np.testing.assert_allclose(found.predict_proba(X), mean, atol=1e-12)
    np.testing.assert_array_equal(found.out_of_fold_["rule"], known.predict_proba(X))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    stacked = StackClassifier([("net", frozen), ("normal", GaussianNB())], cv=3, guard=None).fit(X, WORDS)
    # frozen ones stay on the lowest level
    assert set(stacked.out_of_fold_) == {"net", "normal", "normal@2"} and stacked.score(X, WORDS) > 0.9
    with pytest.raises(ParameterError, match="all estimators are frozen"):
        StackClassifier([("net", frozen)]).fit(X, WORDS)


def test_functions_of_numbers() -> None:
    body, sugar = load_diabetes(return_X_y=True)
    found = BlendRegressor([("rule", CallableMember(lambda rows: 150 + 900 * rows[:, 2])), ("line", Ridge())], method="mean", cv=3)
    expected = (150 + 900 * body[:, 2] + Ridge().fit(body, sugar).predict(body)) / 2
    np.testing.assert_allclose(found.fit(body, sugar).predict(body), expected)
    # torch tensors are taken, too, and a fitted one passes as prefit
    tensor = CallableMember(lambda rows: torch.as_tensor(rows[:, 0]))
    assert BlendRegressor([("t", tensor)], cv="prefit").fit(body, sugar).predict(body) == pytest.approx(body[:, 0])


def test_bad_input_gets_one_sentence() -> None:
    with pytest.raises(CompatibilityError, match="expected probabilities that sum to 1"):
        CallableMember(lambda rows: rows[:, :2], classes=[0, 1]).predict_proba(X)
    with pytest.raises(CompatibilityError, match="expected 3 columns, one a class, got shape"):
        CallableMember(lambda rows: rows[:, :2], classes=[0, 1, 2]).predict_proba(X)
    with pytest.raises(CompatibilityError, match="a value for each of 150 rows, got shape"):
        CallableMember(lambda rows: 1.0).predict(X)
    with pytest.raises(ParameterError, match="expected something to call"):
        CallableMember("mean").predict(X)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="unknown kind 'scores'"):
        TorchMember(module(1), outputs="scores").predict(X)
    with pytest.raises(ParameterError, match="batch: expected a whole number"):
        TorchMember(module(1), batch=0).predict(X)
    with pytest.raises(CompatibilityError, match="give prepare="):
        TorchMember(module(1)).predict(WORDS[:, None])
    with pytest.raises(ParameterError, match="member 'f' .* is not a classifier"):
        BlendClassifier([("f", CallableMember(lambda rows: rows[:, 0]))]).fit(X, WORDS)
