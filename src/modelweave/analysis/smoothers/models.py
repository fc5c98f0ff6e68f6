"""From a fitted model to the rows of its smoother: which models are smoothers, and a sentence for those that are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import CompatibilityError, ModelweaveError, ParameterError
from ...extras import extra
from .boosting import boosted
from .combination import Combination
from .leaves import check_leaf_sizes, leaf_rows, multiplicities
from .linear import least_squares_rows, mean_rows, neighbour_rows
from .rows import Factored, Floats, SmootherRows, is_sparse, mixed

_KNOWN = (
    "decision trees, random forests, extra trees, bagging, gradient boosting with squared error, nearest neighbours, least squares, ridge, "
    "the mean, voting, pipelines that end in one of these, Combination, a function X -> S, or an array S"
)
_REASONS = {
    "GradientBoostingClassifier": "gradient boosting with log loss is not a linear smoother of the labels",
    "HistGradientBoostingRegressor": "its leaves cannot be read through a public function and it sums in float32, so S would not be exact; "
    "use GradientBoostingRegressor",
    "HistGradientBoostingClassifier": "gradient boosting with log loss is not a linear smoother of the labels",
    "AdaBoostRegressor": "it predicts a weighted median, which is not a linear smoother of the labels",
    "StackingRegressor": "its final model depends on the labels; give Combination(members, weights) with the weights it found",
}
Parts = tuple[list[SmootherRows], list[float]]


def rows_of(model: Any, X_train: Any, X: Any) -> SmootherRows:
    """The smoother of a fitted model at the rows X. Errors as for `rows_or_parts`."""
    found = rows_or_parts(model, X_train, X)
    return found if isinstance(found, SmootherRows) else mixed(*found)


def rows_or_parts(model: Any, X_train: Any, X: Any) -> SmootherRows | Parts:
    """The smoother of a model without members; of one with members, theirs in their order and their weights.

    Raises ParameterError for a model that is no smoother, CompatibilityError for inputs that do not fit the model or each other.
    """
    n, m = _length(X_train, "X_train"), _length(X, "X")
    if isinstance(model, np.ndarray) or is_sparse(model):
        return _checked(Factored(_as_rows(model)), m, n, "the array S")
    if isinstance(model, type):
        raise ParameterError(f"model is the class {model.__name__}; give a fitted model of it")
    if callable(model):
        return _checked(Factored(_as_rows(model(X))), m, n, "the function's S")
    try:
        return _parts(model, X_train, X) or _single(model, X_train, X)
    except ModelweaveError:
        raise
    except ValueError as error:
        raise CompatibilityError(f"{_name(model)}: {str(error).splitlines()[0]}; check X_train, X and that the model is fitted") from error


def _parts(model: Any, X_train: Any, X: Any) -> Parts | None:
    """None for a model without members."""
    if isinstance(model, Combination):
        return [rows_of(member, X_train, X) for member in model.members], list(model.shares)
    sklearn = _sklearn()
    if isinstance(model, sklearn.pipeline.Pipeline) and len(model) > 1:
        return _parts(model[-1], model[:-1].transform(X_train), model[:-1].transform(X))
    forests = ("RandomForestRegressor", "RandomForestClassifier", "ExtraTreesRegressor", "ExtraTreesClassifier")
    if isinstance(model, tuple(getattr(sklearn.ensemble, name) for name in forests)):
        return _forest_parts(model, X_train, X)
    if isinstance(model, sklearn.ensemble.BaggingRegressor | sklearn.ensemble.BaggingClassifier):
        return _bagging_parts(model, X_train, X)
    if isinstance(model, sklearn.ensemble.VotingRegressor | sklearn.ensemble.VotingClassifier):
        return _voting_parts(model, X_train, X)
    return None


def _single(model: Any, X_train: Any, X: Any) -> SmootherRows:
    """A model without members."""
    sklearn = _sklearn()
    readers: list[tuple[tuple[type, ...], Callable[[Any, Any, Any], SmootherRows]]] = [
        ((sklearn.tree.DecisionTreeRegressor, sklearn.tree.DecisionTreeClassifier), _tree),
        ((sklearn.ensemble.GradientBoostingRegressor,), _boosting),
        ((sklearn.neighbors.KNeighborsRegressor, sklearn.neighbors.KNeighborsClassifier), _neighbours),
        ((sklearn.linear_model.LinearRegression, sklearn.linear_model.Ridge, sklearn.linear_model.RidgeCV), _linear),
        ((sklearn.dummy.DummyRegressor,), _mean),
    ]
    if isinstance(model, sklearn.pipeline.Pipeline) and len(model) > 1:
        return _single(model[-1], model[:-1].transform(X_train), model[:-1].transform(X))
    for kinds, read in readers:
        if isinstance(model, kinds):
            return read(model, X_train, X)
    reason = _REASONS.get(_name(model), f"it is not among the smoothers that are known: {_KNOWN}")
    raise ParameterError(f"model is a {_name(model)}: {reason}")


def _tree(model: Any, X_train: Any, X: Any, weights: Floats | None = None, within: str = "") -> Factored:
    _takes_means(model)
    train, query = model.apply(X_train), model.apply(X)
    weights = np.ones(len(train)) if weights is None else weights
    check_leaf_sizes(within or _name(model), train, weights, model.tree_.weighted_n_node_samples)
    return leaf_rows(train, query, weights)


def _forest_parts(model: Any, X_train: Any, X: Any) -> Parts:
    _takes_means(model)
    train, query = model.apply(X_train), model.apply(X)
    drawn = model.estimators_samples_ if model.bootstrap else [None] * len(model.estimators_)
    rows: list[SmootherRows] = []
    for place, (tree, sample) in enumerate(zip(model.estimators_, drawn, strict=True)):
        weights = multiplicities(_inside(sample, len(train), model), len(train))
        check_leaf_sizes(_name(model), train[:, place], weights, tree.tree_.weighted_n_node_samples)
        rows.append(leaf_rows(train[:, place], query[:, place], weights))
    return rows, [1 / len(rows)] * len(rows)


def _bagging_parts(model: Any, X_train: Any, X: Any) -> Parts:
    """Trees by their multiplicities; other members from the rows that they were fitted on."""
    from scipy.sparse import csr_array

    X_train, X = (x if is_sparse(x) else np.asarray(x) for x in (X_train, X))
    n, rows, trees = X_train.shape[0], [], _sklearn().tree
    for member, sample, features in zip(model.estimators_, model.estimators_samples_, model.estimators_features_, strict=True):
        sample = _inside(sample, n, model)
        own, queries = X_train[:, features], X[:, features]
        if isinstance(member, trees.DecisionTreeRegressor | trees.DecisionTreeClassifier):
            rows.append(_tree(member, own, queries, multiplicities(sample, n), _name(model)))
            continue
        found = rows_of(member, own[sample], queries)
        if not isinstance(found, Factored):
            raise ParameterError(
                f"model is a {_name(model)} of {_name(member)}: only bagging of trees, neighbours and linear models is known"
            )
        back = csr_array((np.ones(len(sample)), sample, np.arange(len(sample) + 1)), shape=(len(sample), n))
        rows.append(Factored(found.left, back if found.right is None else found.right @ back))
    return list(rows), [1 / len(rows)] * len(rows)


def _voting_parts(model: Any, X_train: Any, X: Any) -> Parts:
    if getattr(model, "voting", "soft") == "hard":
        raise ParameterError(f"model is a {_name(model)} that counts votes, which is not a linear smoother; use voting='soft'")
    given = model.weights if model.weights is not None else [1] * len(model.estimators)
    weights = np.array([weight for weight, (_, member) in zip(given, model.estimators, strict=True) if not _is_dropped(member)], float)
    return [rows_of(member, X_train, X) for member in model.estimators_], [float(weight) for weight in weights / weights.sum()]


def _boosting(model: Any, X_train: Any, X: Any) -> SmootherRows:
    for option, needed in (("loss", "squared_error"), ("subsample", 1.0), ("n_iter_no_change", None)):
        if getattr(model, option) != needed:
            raise ParameterError(
                f"model is a {_name(model)} with {option}={getattr(model, option)!r}: S is known for {option}={needed!r} only"
            )
    _takes_means(model)
    mean_init = getattr(model.init_, "strategy", None) == "mean"
    if not mean_init and model.init != "zero":
        raise ParameterError(f"model is a {_name(model)} with init={model.init!r}: S is known for init='zero' and for the mean only")
    train, query = (model.apply(x).astype(np.int64) for x in (X_train, X))
    for place, tree in enumerate(model.estimators_[:, 0]):
        check_leaf_sizes(_name(model), train[:, place], np.ones(len(train)), tree.tree_.weighted_n_node_samples)
    return boosted(train, query, float(model.learning_rate), mean_init)


def _neighbours(model: Any, X_train: Any, X: Any) -> SmootherRows:
    n = _length(X_train, "X_train")
    if model.n_samples_fit_ != n:
        raise CompatibilityError(
            f"X_train has {n} rows, {_name(model)} was fitted on {model.n_samples_fit_}; give the rows that it was fitted on"
        )
    distances, neighbours = model.kneighbors(X)
    return neighbour_rows(neighbours, n, distances, model.weights or "uniform")


def _linear(model: Any, X_train: Any, X: Any) -> SmootherRows:
    if getattr(model, "positive", False):
        raise ParameterError(f"model is a {_name(model)} with positive=True, which is not a linear smoother; fit it with positive=False")
    if is_sparse(X_train) or is_sparse(X):
        raise ParameterError(f"model is a {_name(model)} on sparse rows, whose solution is not closed; fit it on a dense array")
    train, query = np.asarray(X_train, dtype=np.float64), np.asarray(X, dtype=np.float64)
    if train.shape[1] != query.shape[1] or train.shape[1] != model.n_features_in_:
        raise ValueError(f"X_train has {train.shape[1]} columns, X {query.shape[1]}, the model {model.n_features_in_}")
    if isinstance(model, _sklearn().linear_model.LinearRegression):
        rows, sizes = least_squares_rows(train, query, intercept=model.fit_intercept, rank=int(model.rank_))
        if not np.allclose(sizes, model.singular_, rtol=1e-6, atol=1e-6 * np.max(sizes, initial=0.0)):
            raise CompatibilityError(
                f"X_train is not what {_name(model)} was fitted on (its singular values differ, or rows had sample_weight)"
            )
        return rows
    alphas = np.unique(model.alpha_ if hasattr(model, "alpha_") else model.alpha)
    if len(alphas) != 1:
        raise ParameterError(f"model is a {_name(model)} with an alpha for each output, so no S is common to all; fit one alpha")
    return least_squares_rows(train, query, intercept=model.fit_intercept, ridge=float(alphas[0]))[0]


def _mean(model: Any, X_train: Any, X: Any) -> SmootherRows:
    if model.strategy != "mean":
        raise ParameterError(f"model is a {_name(model)} with strategy={model.strategy!r}: only the mean is a linear smoother")
    return mean_rows(_length(X_train, "X_train"), _length(X, "X"))


def _takes_means(model: Any) -> None:
    """Leaves must hold plain means of the labels."""
    if getattr(model, "criterion", None) == "absolute_error":
        raise ParameterError(f"model is a {_name(model)} with criterion='absolute_error', whose leaves hold medians; use 'squared_error'")
    if getattr(model, "monotonic_cst", None) is not None:
        raise ParameterError(f"model is a {_name(model)} with monotonic_cst, whose leaves are not plain means; fit it without")


def _inside(sample: Any, count: int, model: Any) -> Any:
    if sample is not None and len(sample) and int(np.max(sample)) >= count:
        raise CompatibilityError(f"X_train has {count} rows, {_name(model)} was fitted on more; give the rows that it was fitted on")
    return sample


def _is_dropped(member: Any) -> bool:
    return isinstance(member, str) and member == "drop"


def _checked(rows: Factored, m: int, n: int, where: str) -> Factored:
    if len(rows.left.shape) != 2 or rows.shape != (m, n):
        found = " x ".join(map(str, rows.left.shape))
        raise CompatibilityError(f"{where} is {found}, expected {m} x {n}: a row for each of X, a column for each of X_train")
    if not np.isfinite(rows.left.data if is_sparse(rows.left) else rows.left).all():
        raise CompatibilityError(f"{where} holds NaN or infinity; S must be finite")
    return rows


def _as_rows(found: Any) -> Any:
    if not is_sparse(found):
        return np.asarray(found, dtype=np.float64)
    from scipy.sparse import csr_array

    rows = csr_array(found, dtype=np.float64, copy=True)
    rows.sum_duplicates()
    return rows


def _length(rows: Any, where: str) -> int:
    shape: Sequence[int] = getattr(rows, "shape", ()) or np.shape(rows)
    if len(shape) < 1 or shape[0] == 0:
        raise CompatibilityError(f"{where} has no rows; give at least one")
    return int(shape[0])


def _name(model: Any) -> str:
    return type(model).__name__


def _sklearn() -> Any:
    for part in ("dummy", "ensemble", "linear_model", "neighbors", "pipeline", "tree"):
        extra(f"sklearn.{part}", "tabular")
    return extra("sklearn", "tabular")
