"""scikit-learn's own checks of its estimator contract, with the default members and with others."""

from __future__ import annotations

from typing import Any

from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from modelweave.outputs.estimators.blend import BlendClassifier, BlendRegressor
from modelweave.outputs.estimators.stack import StackClassifier, StackRegressor

TREES = [("tree", DecisionTreeClassifier(random_state=0)), ("normal", GaussianNB())]
LINES = [("line", LinearRegression()), ("tree", DecisionTreeRegressor(random_state=0)), ("mean", DummyRegressor())]


@parametrize_with_checks(
    [
        BlendClassifier(),
        BlendRegressor(),
        StackClassifier(cv=3),
        StackRegressor(cv=3),
        BlendClassifier(TREES, cv=2, method="simplex", refit=False),
        StackRegressor(LINES, DecisionTreeRegressor(max_depth=3, random_state=0), cv=2, guard=None),
    ]
)
def test_contract(estimator: Any, check: Any) -> None:
    check(estimator)
