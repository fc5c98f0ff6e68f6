"""Choosers learn, repeat themselves and are kept; pools and their best subsets by brute force."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelweave import blend
from modelweave.errors import CheckpointError, ModelweaveError
from modelweave.outputs.chooser.subset_chooser import SubsetChooser
from modelweave.outputs.chooser.subsets import mean_jaccard, top
from modelweave.outputs.predictions.calibration import reliability
from modelweave.outputs.predictions.member_features import best_subset, describe_members, make_pools
from modelweave.outputs.predictions.metrics import METRICS

from ..predictions.slow import make_members

SMALL: dict[str, Any] = {"width": 16, "hidden": 32, "samples": 3, "rank": 2, "rate": 5e-3, "batch": 16, "epochs": 12}


def odd_ones(seed: int, count: int, members: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Pools on a line around a point of their own; two members are far to one side, and they are the subset."""
    random = np.random.default_rng(seed)
    marks = np.argsort(random.random((count, members)), axis=1) < 2
    pools = random.standard_normal((count, 1)) + 3.0 * marks + 0.3 * random.standard_normal((count, members))
    return pools[..., None], marks


@pytest.mark.parametrize("mode", ["copula", "ind", "diffMF"])
def test_it_learns_and_repeats_itself(mode: str) -> None:
    train, validation, test = odd_ones(0, 200), odd_ones(1, 40), odd_ones(2, 100)
    found = SubsetChooser(mode=mode, **SMALL).fit(*train, validation=validation)
    q = found.marginals(test[0])
    assert mean_jaccard(top(q, np.full(100, 2)), test[1]) > 0.75
    again = SubsetChooser(mode=mode, **SMALL).fit(*train, validation=validation)
    assert np.array_equal(again.marginals(test[0]), q)
    assert found.history and max(found.history) > 0.7
    order = np.random.default_rng(0).permutation(6)
    assert found.choose(test[0][0], 2).tolist() == sorted(np.argsort(-q[0])[:2].tolist()) and len(order) == 6


def test_it_stops_when_validation_no_longer_rises() -> None:
    found = SubsetChooser(**{**SMALL, "epochs": 60, "patience": 2}).fit(*odd_ones(0, 60), validation=odd_ones(1, 20))
    assert len(found.history) < 60 and found.history[-1] <= max(found.history[:-2])


def test_it_is_kept_without_pickle(tmp_path: Path) -> None:
    pools, marks = odd_ones(3, 40)
    found = SubsetChooser(**SMALL).fit(pools, marks)
    found.save(tmp_path / "kept")
    assert sorted(file.name for file in (tmp_path / "kept").iterdir()) == ["chooser.json", "chooser.safetensors"]
    again = SubsetChooser.load(tmp_path / "kept")
    assert np.array_equal(again.marginals(pools), found.marginals(pools))
    assert found.choose(pools[0]).tolist() == np.flatnonzero(found.marginals(pools[0]) > 0.5).tolist()
    with pytest.raises(CheckpointError, match="expected a folder that SubsetChooser.save wrote"):
        SubsetChooser.load(tmp_path)


def test_jaccard_and_largest_by_hand() -> None:
    assert mean_jaccard([[1, 1, 0], [0, 0, 1]], [[0, 1, 1], [0, 0, 1]]) == pytest.approx((1 / 3 + 1) / 2)
    assert top(np.array([[0.2, 0.9, 0.9], [0.1, 0.2, 0.3]]), np.array([1, 2])).tolist() == [[False, True, False], [False, True, True]]


def test_members_are_described_by_what_they_do() -> None:
    members, y = make_members(0, 200, 3)
    rows = describe_members(members, y)
    assert rows.shape == (3, 7)
    mean = np.mean(list(members.values()), axis=0)
    for row, p in zip(rows, members.values(), strict=True):
        recall = [np.mean(p.argmax(1)[y == k] == k) for k in range(3)]
        assert row[:3] == pytest.approx(recall)
        assert row[3:6] == pytest.approx([METRICS["log_loss"].loss(y, p), reliability(p, y).error, np.mean(p.argmax(1) != mean.argmax(1))])
        assert row[6] == pytest.approx(np.corrcoef(p.ravel(), mean.ravel())[0, 1])


def test_the_oracle_by_slow_loops() -> None:
    members, y = make_members(1, 100, 3, (1.0, 1.2, 1.5, 2.0, 3.0))
    losses = {s: METRICS["log_loss"].loss(y, np.mean([list(members.values())[i] for i in s], axis=0)) for s in combinations(range(5), 2)}
    assert tuple(best_subset(members, y, 2)) == min(losses, key=lambda s: losses[s])


def test_pools_are_described_and_judged_on_different_rows() -> None:
    library, y = make_members(2, 120, 3, tuple(np.linspace(0.8, 3, 10)))
    features, marks, pools = make_pools(library, y, members=5, size=2, count=6, seed=4)
    assert features.shape == (6, 5, 7) and marks.sum(axis=1).tolist() == [2] * 6
    order = np.random.default_rng(4).permutation(120)
    probe, judge = order[:60], order[60:]
    for row, names in enumerate(pools):
        assert features[row] == pytest.approx(describe_members({n: library[n][probe] for n in names}, y[probe]))
        assert np.flatnonzero(marks[row]).tolist() == best_subset({n: library[n][judge] for n in names}, y[judge], 2).tolist()


def test_a_blend_takes_a_chooser(tmp_path: Path) -> None:
    library, y = make_members(5, 150, 3, tuple(np.linspace(0.8, 3, 9)))
    features, marks, _ = make_pools(library, y, members=5, size=2, count=60)
    SubsetChooser(**SMALL).fit(features, marks).save(tmp_path / "kept")
    pool = {name: library[name] for name in list(library)[:5]}
    found = blend(pool, y, method="chooser", chooser=str(tmp_path / "kept"), size=2, fall_back=False)
    assert sorted(found.weights.values()) == [0, 0, 0, 0.5, 0.5]
    places = SubsetChooser.load(tmp_path / "kept").choose(describe_members(pool, y), 2)
    assert [name for name, weight in found.weights.items() if weight] == [list(pool)[i] for i in places]
    with pytest.raises(ModelweaveError, match="chooser needs chooser \\(text\\), the folder that SubsetChooser.save wrote"):
        blend(pool, y, method="chooser")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SubsetChooser(widht=3), "unknown setting 'widht'; did you mean 'width'"),
        (lambda: SubsetChooser(background="all"), "unknown background 'all'"),
        (lambda: SubsetChooser().choose(np.zeros((3, 2))), "not fitted yet; call fit or load"),
        (
            lambda: SubsetChooser(**SMALL).fit(np.zeros((3, 2)), np.zeros((3, 2))),
            r"pools: expected finite numbers \(pools, members, features\)",
        ),
        (lambda: SubsetChooser(**SMALL).fit(np.zeros((3, 2, 1)), np.zeros((3, 3))), "subsets: expected 0 and 1 for each of"),
        (lambda: best_subset({str(i): [0.5] * 2 for i in range(13)}, [0, 1], 2), "for pools of up to 12, got 13"),
        (lambda: best_subset({"a": [0.5] * 2}, [0, 1], 2), "size: expected a number from 1 to 1, got 2"),
        (lambda: make_pools({"a": [0.5] * 2}, [0, 1]), "expected a library of at least 8 members, got 1"),
    ],
)
def test_what_is_wrong_is_one_sentence(make: Any, message: str) -> None:
    with pytest.raises(ModelweaveError, match=message):
        make()
