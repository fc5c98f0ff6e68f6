"""The list of members of an ensemble of estimators: its parameters and its checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.base import ClassifierMixin, is_classifier, is_regressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import Bunch, get_tags
from sklearn.utils.metaestimators import _BaseComposition

from ...errors import ParameterError
from .metadata import PassesMetadata
from .table import TowerMember

Named = list[tuple[str, Any]]


def default_members(classes: bool) -> Named:
    """A few members that are quick to fit and differ from each other."""
    if classes:
        tree = DecisionTreeClassifier(min_weight_fraction_leaf=0.02, random_state=0)
        return [("linear", LogisticRegression(max_iter=1000)), ("normal", GaussianNB()), ("tree", tree)]
    return [("linear", Ridge()), ("tree", DecisionTreeRegressor(min_weight_fraction_leaf=0.02, random_state=0))]


class HasMembers(PassesMetadata, _BaseComposition):
    """Parameters by name, those of members as `member__parameter`, members set to `drop`, and their checks."""

    estimators: Any

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Own parameters and, when deep, those of the members."""
        found: dict[str, Any] = self._get_params("estimators", deep=deep)
        return found

    def set_params(self, **params: Any) -> HasMembers:
        """Set own parameters or members', or replace a member, also by `drop`."""
        self._set_params("estimators", **params)
        return self

    @property
    def named_estimators(self) -> Bunch:
        """The members as given."""
        return Bunch(**dict(self.estimators or default_members(isinstance(self, ClassifierMixin))))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        try:
            members = [
                get_tags(model) for _, model in self.estimators or default_members(isinstance(self, ClassifierMixin)) if not _dropped(model)
            ]
        except (TypeError, ValueError, AttributeError):
            return tags  # fit will say what is wrong with the list
        tags.input_tags.allow_nan = all(member.input_tags.allow_nan for member in members)
        tags.input_tags.sparse = all(member.input_tags.sparse for member in members)
        if not isinstance(self, ClassifierMixin):
            tags.target_tags.multi_output = all(member.target_tags.multi_output for member in members)
        return tags

    def _members(self, word: str = "estimators") -> Named:
        """The checked list under a parameter, without members that are dropped."""
        given = getattr(self, word)
        classes = isinstance(self, ClassifierMixin)
        if given is None:
            return default_members(classes)
        pairs = isinstance(given, (list, tuple)) and all(isinstance(p, (list, tuple)) and len(p) == 2 for p in given)
        if not pairs or not len(given) or not all(isinstance(name, str) for name, _ in given):
            raise ParameterError(f"{word}: expected a list of (name, estimator) that is not empty, got {given!r}")
        self._validate_names([name for name, _ in given])
        kept = [(name, model) for name, model in given if not _dropped(model)]
        if not kept:
            raise ParameterError(f"{word}: all members are dropped; keep at least one")
        for name, model in kept:
            if not (is_classifier if classes else is_regressor)(model):
                kind = "classifier" if classes else "regressor"
                raise ParameterError(f"{word}: member '{name}' ({type(model).__name__}) is not a {kind}")
        return kept

    def _routed(self) -> Mapping[str, Any]:
        """Every model by the name it has in routing."""
        return dict(self._members())


def with_params(named: Sequence[tuple[str, Any]], params: Mapping[str, Mapping[str, Any]]) -> tuple[TowerMember, ...]:
    """Members with what their fit is given."""
    return tuple(TowerMember(name, model, params.get(name, {})) for name, model in named)


def _dropped(model: Any) -> bool:
    return isinstance(model, str) and model == "drop"
