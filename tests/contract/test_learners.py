"""What every learner must keep, generated from the rows."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import modelweave
from modelweave import Blend
from modelweave.catalog import LEARNERS
from modelweave.errors import ModelweaveError, ParameterError
from modelweave.outputs.predictions.metrics import METRICS
from modelweave.predictions import Learner, SubsetChooser, describe_members

from ..outputs.predictions.slow import make_members, make_numbers

Array = np.ndarray[Any, Any]
QUICK = {"cma_es": {"generations": 5}}
"""Options that make a search short."""


class Case(NamedTuple):
    """A learner and predictions of a task that it is for."""

    row: Learner
    task: str

    @property
    def data(self) -> tuple[dict[str, Array], Array]:
        if self.task == "regression":
            members, y = make_numbers(2)
            return {name: np.exp(p) for name, p in members.items()}, np.exp(y)
        members, y = make_members(0, 240, 3 if self.task == "multiclass" else 2)
        return (members if self.task == "multiclass" else {name: p[:, 1] for name, p in members.items()}), y


CASES = [Case(row, task) for row in LEARNERS.values() for task in row.tasks]


def cases(keeping: str = "") -> Any:
    found = [case for case in CASES if not keeping or keeping in case.row.keeps]
    return pytest.mark.parametrize("case", found, ids=[f"{case.row.name}-{case.task}" for case in found])


@pytest.fixture(scope="module")
def choosers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A trained chooser for each task, for the learner that needs one."""
    made = {}
    for task in LEARNERS["chooser"].tasks:
        members, y = Case(LEARNERS["chooser"], task).data
        pools = np.stack([describe_members({n: p[i::8] for n, p in members.items()}, y[i::8]) for i in range(8)])
        marks = np.tile([1, 1, 0], (8, 1))
        folder = tmp_path_factory.mktemp("chooser") / task
        SubsetChooser(width=8, hidden=16, samples=2, rank=2, rate=5e-3, batch=8, epochs=3).fit(pools, marks).save(folder)
        made[task] = str(folder)
    return made


@pytest.fixture
def blend(case: Case, choosers: dict[str, str]) -> Any:
    """`modelweave.blend` by the case's learner, as fitted: no verdict, no falling back."""
    options: dict[str, Any] = dict(QUICK.get(case.row.name, {}))
    if case.row.name == "chooser":
        options |= {"chooser": choosers[case.task], "size": 1}
    return partial(modelweave.blend, method=case.row.name, fall_back=False, folds=None, **options)


def segments_of(case: Case, y: Array) -> Array | None:
    return np.arange(len(y)) % 2 if case.row.needs_segments else None


def predictions(case: Case, blend: Any, members: dict[str, Array], y: Array, **extra: Any) -> Array:
    """What the blend says of the rows that it was fitted on."""
    segments = segments_of(case, y)
    return blend(members, y, segments=segments, **extra).predict(members, segments)


@cases()
def test_shapes_and_probabilities(case: Case, blend: Any) -> None:
    members, y = case.data
    p = predictions(case, blend, members, y)
    assert p.shape == members["m0"].shape and p.dtype == np.float64
    if case.task == "multiclass":
        assert p.sum(axis=1) == pytest.approx(np.ones(len(p)))
    if case.task != "regression":
        assert p.min() >= 0 and p.max() <= 1


@cases()
def test_it_is_better_than_its_worst_member_on_the_rows_it_knows(case: Case, blend: Any) -> None:
    if not case.row.learns:
        pytest.skip("learns nothing from the targets")
    members, y = case.data
    loss = METRICS["mse" if case.task == "regression" else "log_loss"].loss
    assert loss(y, predictions(case, blend, members, y)) < max(loss(y, p) for p in members.values())


@cases()
def test_inputs_are_not_changed(case: Case, blend: Any) -> None:
    members, y = case.data
    before = {name: p.copy() for name, p in members.items()}
    predictions(case, blend, members, y)
    assert all(np.array_equal(members[name], p) for name, p in before.items())


@cases("order_free")
def test_the_order_of_members_does_not_matter(case: Case, blend: Any) -> None:
    members, y = case.data
    backwards = dict(reversed(members.items()))
    assert predictions(case, blend, backwards, y) == pytest.approx(predictions(case, blend, members, y), abs=1e-4)


@cases("between_members")
def test_predictions_lie_between_the_members(case: Case, blend: Any) -> None:
    members, y = case.data
    p, stack = predictions(case, blend, members, y), np.stack(list(members.values()))
    assert (p >= stack.min(axis=0) - 1e-12).all() and (p <= stack.max(axis=0) + 1e-12).all()


@cases("single_is_itself")
def test_members_that_are_all_the_same_are_one_member(case: Case, blend: Any) -> None:
    members, y = case.data
    same = dict.fromkeys(members, members["m0"])
    found = blend(same, y, segments=segments_of(case, y))
    assert found.predict(same, segments_of(case, y)) == pytest.approx(members["m0"])
    assert len([note for note in found.notes if "counts once" in note]) == 2


@cases()
def test_a_copy_of_a_member_changes_nothing(case: Case, blend: Any) -> None:
    members, y = case.data
    copied = {**members, "again": members["m1"].copy()}
    assert np.array_equal(predictions(case, blend, copied, y), predictions(case, blend, members, y))
    assert blend(copied, y, segments=segments_of(case, y)).weights["again"] == 0


@cases()
def test_a_member_that_says_the_same_of_every_row_does_no_great_harm(case: Case, blend: Any) -> None:
    members, y = case.data
    if case.task == "multiclass":
        members["coin"] = np.full((len(y), 3), 1 / 3)
    else:
        members["coin"] = np.full(len(y), 0.5 if case.task == "binary" else float(y.mean()))
    loss = METRICS["mse" if case.task == "regression" else "log_loss"].loss
    if case.row.name != "rank_mean":  # which ranks, and says no probabilities
        assert loss(y, predictions(case, blend, members, y)) < max(loss(y, p) for p in members.values())


@cases()
def test_a_seed_decides_everything(case: Case, blend: Any) -> None:
    members, y = case.data
    first, again, other = (predictions(case, blend, members, y, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) == ("seeded" not in case.row.keeps)


@cases()
def test_rows_may_come_in_any_order(case: Case, blend: Any) -> None:
    members, y = case.data
    segments = segments_of(case, y)
    found = blend(members, y, segments=segments)
    turned = found.predict({name: p[::-1] for name, p in members.items()}, None if segments is None else segments[::-1])
    assert turned == pytest.approx(found.predict(members, segments)[::-1])


@cases()
def test_targets_count_only_where_the_row_learns(case: Case, blend: Any) -> None:
    members, y = case.data
    theirs = members["m2"]
    right = theirs if case.task == "regression" else (theirs > 0.5).astype(int) if case.task == "binary" else theirs.argmax(axis=1)
    before, after = predictions(case, blend, members, y), predictions(case, blend, members, right)
    if not case.row.learns:
        assert np.array_equal(before, after)
    elif "between_members" in case.row.keeps and case.row.name != "chooser":  # whose network has learned what to go by
        assert np.abs(after - theirs).mean() < np.abs(before - theirs).mean(), "it moves to the member that is always right"


@cases()
def test_rows_that_a_member_leaves_out_go_by_the_others(case: Case, blend: Any) -> None:
    members, y = case.data
    segments = segments_of(case, y)
    gaps = {name: p.copy() for name, p in members.items()}
    gaps["m1"][:20] = gaps["m1"][20:30] = gaps["m0"][20:30] = gaps["m2"][20:30] = np.nan
    found = blend(gaps, y, segments=segments)
    p = found.predict(gaps, segments)
    none = np.isnan(p.reshape(len(p), -1)).any(axis=1)
    assert np.flatnonzero(none).tolist() == list(range(20, 30)), "a row that no member covers has no prediction"
    if case.row.learns:
        there = np.r_[30 : len(y)]
        covered, known = {n: v[there] for n, v in members.items()}, None if segments is None else segments[there]
        assert p[there] == pytest.approx(blend(covered, y[there], segments=known).predict(covered, known))


@cases()
def test_what_is_saved_predicts_the_same(case: Case, blend: Any, tmp_path: Path) -> None:
    members, y = case.data
    segments = segments_of(case, y)
    found = blend(members, y, segments=segments)
    found.save(tmp_path / "blend.json")
    again = Blend.load(tmp_path / "blend.json")
    assert np.array_equal(again.predict(members, segments), found.predict(members, segments))
    assert again.to_json() == found.to_json() and again.method == case.row.name


@cases()
def test_bad_inputs_are_refused_by_name(case: Case, blend: Any) -> None:
    members, y = case.data
    with pytest.raises(ModelweaveError, match="m1"):
        blend({**members, "m1": members["m1"][:-1]}, y, segments=segments_of(case, y))
    broken = {**members, "m1": members["m1"].copy()}
    broken["m1"].reshape(-1)[0] = np.inf
    with pytest.raises(ModelweaveError, match="m1"):
        blend(broken, y, segments=segments_of(case, y))
    if case.row.needs_segments:
        with pytest.raises(ParameterError, match="segments"):
            blend(members, y)


@pytest.mark.parametrize("row", LEARNERS.values(), ids=LEARNERS)
def test_tasks_that_it_is_not_for_are_refused(row: Learner) -> None:
    for task in {"binary", "multiclass", "regression"} - set(row.tasks):
        members, y = Case(row, task).data
        with pytest.raises(ParameterError, match=f"{row.name} does not apply to {task} predictions"):
            modelweave.blend(members, y, method=row.name)
