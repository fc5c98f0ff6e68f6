"""From what users have to a pool: arrays and tables, checked against each other and the targets before anything is averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...errors import CompatibilityError, InputError, ParameterError, unknown
from .metrics import METRICS, Metric, Task, predicted, true_class
from .pool import Array, Pool, Provenance, covered

_PROVENANCES = ("hold_out", "in_sample", "out_of_fold")
_NEAR = 1e-3
SIGMAS = 4.5


def make_pool(
    members: Mapping[str, Any],
    y: Any,
    *,
    metric: str | Metric | None = None,
    labels: Sequence[Any] | None = None,
    provenance: str | Mapping[str, str] = "out_of_fold",
) -> tuple[Pool, Array, list[str]]:
    """The pool, the targets as class numbers or floats, and what a reader should know about the members.

    Raises InputError for an array that is not what it should be, CompatibilityError for arrays that do not fit each other or the targets,
    ParameterError for in-sample predictions.
    """
    if not members:
        raise InputError("members: expected at least one array of predictions by name, got none")
    origins = _provenances(list(members), provenance)
    targets = np.asarray(y)
    if targets.ndim == 0 or not len(targets):
        raise InputError("targets: expected one value a row, got none")
    given, columns = _arrays(members, y, len(targets))
    task = _task(given, targets, metric)
    if task == "regression":
        codes, words = _numbers(targets), ()
    else:
        codes, words = _class_numbers(targets, given, labels if labels is not None else columns)
        task = "binary" if len(words) == 2 else "multiclass"
    arrays = {name: _checked(name, values, task, codes, len(words)) for name, values in given.items()}
    pool = Pool(tuple(arrays), tuple(arrays.values()), task, words, origins)
    return pool, codes, _notes(pool, codes)


def prepare_members(members: Mapping[str, Any], names: Sequence[str], task: Task, labels: Sequence[Any]) -> list[Array]:
    """Arrays to predict from, in the order an ensemble was fitted with; missing members are not covered anywhere."""
    strange = sorted(set(members) - set(names))
    if strange:
        raise CompatibilityError("members: " + unknown("member", strange[0], names))
    if not members:
        raise CompatibilityError(f"members: expected predictions of {', '.join(names)}, got none")
    rows = len(next(iter(members.values())))
    given, _ = _arrays(members, None, rows, labels or None)
    arrays = {name: _checked(name, values, task, None, len(labels)) for name, values in given.items()}
    like = next(iter(arrays.values()))
    return [arrays[name] if name in arrays else np.full(like.shape, np.nan) for name in names]


def _provenances(names: Sequence[str], given: str | Mapping[str, str]) -> tuple[Provenance, ...]:
    found = []
    for name in names:
        word = given if isinstance(given, str) else given.get(name, "out_of_fold")
        word = word.replace("-", "_").replace("holdout", "hold_out").replace("oof", "out_of_fold")
        if word not in _PROVENANCES:
            raise ParameterError("provenance: " + unknown("provenance", word, _PROVENANCES))
        if word == "in_sample":
            raise ParameterError(
                f"provenance: predictions of member '{name}' are in-sample, made for rows it has learnt from, and weights "
                "fitted on them favour what overfits; give out-of-fold or hold-out predictions"
            )
        found.append(word)
    return tuple(found)  # type: ignore[arg-type]


def _arrays(
    members: Mapping[str, Any], y: Any, rows: int, labels: Sequence[Any] | None = None
) -> tuple[dict[str, Array], list[Any] | None]:
    """Plain arrays, their rows and columns in the same order where tables name them; and the columns' names."""
    order = labels
    found = {}
    for name, values in members.items():
        if hasattr(values, "detach"):
            values = values.detach().cpu().numpy()
        if hasattr(values, "columns") and getattr(values, "ndim", 2) == 2 and values.shape[1] > 1:
            own = list(values.columns)
            order = order if order is not None else own
            if sorted(map(str, own)) != sorted(map(str, order)):
                raise CompatibilityError(
                    f"member '{name}': has columns {_list(own)}, expected {_list(order)}; name all labels in every member"
                )
            by_word = {str(column): column for column in own}
            values = values[[by_word[str(column)] for column in order]]
        keys, index = (getattr(given, "index", None) for given in (y, values))
        # lists have an index, too, which is a method
        if keys is not None and index is not None and hasattr(keys, "equals") and hasattr(index, "equals") and not index.equals(keys):
            values = _by_key(name, values, y.index)
        try:
            array = np.asarray(values)
            array = array if array.dtype.kind == "f" and array.dtype.itemsize >= 4 else array.astype(np.float64)
        except (TypeError, ValueError):
            raise InputError(f"member '{name}': expected numbers, got {np.asarray(values).dtype}") from None
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim not in (1, 2) or not array.size:
            raise InputError(f"member '{name}': expected an array (rows,) or (rows, columns), got shape {array.shape}")
        if len(array) != rows:
            raise CompatibilityError(f"member '{name}': has {len(array)} rows, expected {rows}; give every member the same rows")
        found[name] = array
    widths = {name: 1 if array.ndim == 1 else array.shape[1] for name, array in found.items()}
    first = next(iter(widths))
    for name, width in widths.items():
        if width != widths[first] and {width, widths[first]} != {1, 2}:
            raise CompatibilityError(f"member '{name}': has {width} columns, member '{first}' has {widths[first]}; expected the same")
    return found, None if order is None else list(order)


def _by_key(name: str, values: Any, keys: Any) -> Any:
    if not values.index.is_unique or not keys.is_unique:
        twice = values.index[values.index.duplicated()] if not values.index.is_unique else keys[keys.duplicated()]
        raise InputError(f"member '{name}': key {twice[0]!r} occurs twice; expected each row once in members and targets")
    if not keys.isin(values.index).any():
        raise CompatibilityError(f"member '{name}': has none of the targets' keys, such as {keys[0]!r}; match rows by one key")
    return values.reindex(keys)


def _task(given: Mapping[str, Array], targets: Array, metric: str | Metric | None) -> Task:
    chosen = METRICS.get(metric) if isinstance(metric, str) else metric
    if chosen is not None:
        return "multiclass" if chosen.tasks != ("regression",) else "regression"
    if targets.dtype.kind in "OUSb":
        return "multiclass"
    wide = any(array.ndim == 2 for array in given.values())
    if targets.ndim == 2:
        return "regression"
    if wide:
        return "multiclass"
    two_values = len(np.unique(targets)) <= 2
    for name, array in given.items():
        low, high = float(np.nanmin(array, initial=0)), float(np.nanmax(array, initial=1))
        if two_values and (low < 0 or high > 1):
            raise CompatibilityError(
                f"member '{name}': the targets have two values, and its predictions go from {low:.4g} to {high:.4g}; for classes pass "
                "probabilities (a sigmoid first), for numbers name a metric such as rmse"
            )
    return "multiclass" if two_values else "regression"


def _numbers(targets: Array) -> Array:
    try:
        values = targets.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(f"targets: expected numbers, got {targets.dtype}; a metric of classes takes labels") from None
    bad = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    if len(bad):
        raise InputError(f"targets: row {bad[0]} is not a finite number; leave out rows without a target")
    return values


def _class_numbers(targets: Array, given: Mapping[str, Array], labels: Sequence[Any] | None) -> tuple[Array, tuple[Any, ...]]:
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim != 1:
        raise InputError(f"targets: expected one label a row, got shape {targets.shape}")
    if targets.dtype.kind == "f" and not np.isfinite(targets).all():
        raise InputError(f"targets: row {np.flatnonzero(~np.isfinite(targets))[0]} is not a label; leave out rows without a target")
    if targets.dtype.kind == "O":
        empty = [i for i, value in enumerate(targets) if value is None or value != value]
        if empty:
            raise InputError(f"targets: row {empty[0]} has no label; leave out rows without a target")
        targets = targets.astype(str) if not all(isinstance(value, (int, bool)) for value in targets) else targets.astype(int)
    seen = np.unique(targets)
    width = max(2 if array.ndim == 1 else array.shape[1] for array in given.values())
    if len(seen) == 1:
        raise InputError(f"targets: all {len(targets)} rows have the one class {seen[0]!r}; expected at least two classes")
    if labels is None:
        if len(seen) == width:
            words = list(seen.tolist())
        elif targets.dtype.kind in "iu" and seen[0] >= 0 and seen[-1] < width:
            words = list(range(width))
        else:
            raise CompatibilityError(
                f"targets: have {len(seen)} classes, {_list(seen)}, and the members {width} columns; say labels= in the order of columns"
            )
    else:
        words = list(labels)
        if len(words) != width:
            raise CompatibilityError(f"labels: expected {width}, one a column, got {len(words)}: {_list(words)}")
    place = {str(word): i for i, word in enumerate(words)}
    strange = [value for value in seen.tolist() if str(value) not in place]
    if strange:
        raise CompatibilityError(f"targets: class {strange[0]!r} is not among the members' labels {_list(words)}")
    codes = np.array([place[str(value)] for value in seen.tolist()])[np.searchsorted(seen, targets)]
    return codes, tuple(words)


def _checked(name: str, values: Array, task: Task, codes: Array | None, classes: int) -> Array:
    """The member's array in the pool's shape. Raises InputError where it is no prediction, CompatibilityError where it does not fit."""
    flat = values.reshape(len(values), -1)
    empty = np.isnan(flat)
    none, some = empty.all(axis=1), empty.any(axis=1)
    if np.any(some & ~none):
        raise InputError(
            f"member '{name}': row {np.flatnonzero(some & ~none)[0]} is NaN in some columns only; "
            "make it NaN throughout where there is no prediction"
        )
    if none.all():
        raise InputError(f"member '{name}': all rows are NaN; leave the member out")
    if np.isinf(flat).any():
        raise InputError(f"member '{name}': row {np.flatnonzero(np.isinf(flat).any(axis=1))[0]} is infinite; expected finite numbers")
    if task == "regression":
        if codes is not None and values.shape != codes.shape:
            raise CompatibilityError(f"member '{name}': has shape {values.shape}, targets have {codes.shape}; expected the same")
        return values
    low, high = float(np.nanmin(flat)), float(np.nanmax(flat))
    if low < -_NEAR or high > 1 + _NEAR:
        raise InputError(
            f"member '{name}': expected probabilities in [0, 1], got values from {low:.4g} to {high:.4g}; these look like scores, "
            "pass them through a softmax or sigmoid first"
        )
    if values.ndim == 2:
        off = np.abs(values.sum(axis=1) - 1)
        bad = np.flatnonzero(off > max(_NEAR, 1e-6 * classes))
        if len(bad):
            raise InputError(f"member '{name}': row {bad[0]} sums to {values[bad[0]].sum():.4g}; expected probabilities that sum to 1")
        values = values[:, 1] if classes == 2 else values
    if codes is not None:
        _check_labels(name, values, codes, classes)
    return values


def _check_labels(name: str, values: Array, codes: Array, classes: int) -> None:
    """Refuse columns in another order than the labels: some classes are called by each other's names, each at least twice as often as
    by its own, and too often for chance."""
    there = covered(values)
    called = np.bincount(codes[there] * classes + predicted(values[there]), minlength=classes * classes).reshape(classes, classes)
    most = called.argmax(axis=1)
    moved = np.flatnonzero((most != np.arange(classes)) & (called.sum(axis=1) > 0))
    if len(moved) < 2 or not np.array_equal(np.sort(most[moved]), moved):
        return
    other, own = called[moved, most[moved]], called[moved, moved]
    if (other >= 2 * own).all() and (other + own).min() >= 5 and (other - own).sum() > SIGMAS * np.sqrt((other + own).sum()):
        share = other[0] / called[moved[0]].sum()
        raise CompatibilityError(
            f"member '{name}': its columns seem to be in another order: rows of class {moved[0]} are called {most[moved[0]]} in "
            f"{share:.0%} of cases, and {len(moved)} classes by each other's names; put the columns in the order of the labels"
        )


def _notes(pool: Pool, codes: Array) -> list[str]:
    notes = []
    for name, values in zip(pool.names, pool.values, strict=True):
        there = covered(values)
        if not there.all():
            notes.append(f"'{name}' covers {np.count_nonzero(there):,} of {len(there):,} rows; others stand in where it does not")
        if len(there) > 1 and np.ptp(values[there], axis=0).max() == 0:
            notes.append(f"'{name}' predicts the same for every row")
        if pool.classes:
            zeros = int(np.count_nonzero(true_class(codes[there], values[there]) <= 0))
            if zeros:
                notes.append(f"'{name}' gives probability 0 to what occurred in {zeros:,} rows; logarithms take it as 1e-15")
    return notes


def _list(words: ArrayLike | Sequence[Any]) -> str:
    texts = [str(word) for word in np.asarray(words, object).tolist()]
    return ", ".join(texts[:6]) + (", ..." if len(texts) > 6 else "")
