"""Rows in blocks: the same sums by every route, within the memory that is given."""

from __future__ import annotations

import tracemalloc
from itertools import product

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor

from modelweave.analysis.smoothers.boosting import boosted
from modelweave.analysis.smoothers.leaves import leaf_rows, multiplicities
from modelweave.analysis.smoothers.linear import least_squares_rows
from modelweave.analysis.smoothers.models import rows_of
from modelweave.analysis.smoothers.rows import Factored, Mixed, SmootherRows, dense, inner_products, mixed, spans

from .made import made, slow_boosting, slow_tree

RANDOM = np.random.default_rng(5)


def test_leaves_against_the_definition() -> None:
    train, weights = RANDOM.integers(0, 9, 80), multiplicities(RANDOM.integers(0, 80, 80), 80)
    query = RANDOM.choice(train[weights > 0], 30)
    assert np.allclose(dense(leaf_rows(train, query, weights).block(0, 30)), slow_tree(train, query, weights), rtol=0, atol=1e-15)


@pytest.mark.parametrize("mean_init", [False, True])
def test_boosting_against_the_definition(mean_init: bool) -> None:
    train = RANDOM.integers(0, 6, (40, 8))
    query = np.stack([RANDOM.choice(column, 17) for column in train.T], axis=1)
    rows, slow = boosted(train, query, 0.3, mean_init), slow_boosting(train, query, 0.3, mean_init)
    assert np.allclose(np.concatenate([rows.block(0, 5), rows.block(5, 17)]), slow[-1], rtol=0, atol=1e-14)
    assert np.allclose(rows.squares_by_stage(memory=3000), [np.sum(stage**2) for stage in slow])
    targets = RANDOM.standard_normal((40, 3))
    assert np.allclose(rows.times(targets), slow[-1] @ targets)


@pytest.mark.parametrize("leaves", [None, 4, 20])
def test_inner_products_and_rows_agree(leaves: int | None) -> None:
    X, y, Q = made(400, 300)
    rows = rows_of(RandomForestRegressor(6, max_leaf_nodes=leaves, random_state=0).fit(X, y), X, Q)
    assert isinstance(rows, Factored)
    assert rows._inner_products_are_cheaper(1 << 26) == (leaves is not None)
    whole = float(np.sum(dense(rows.block(0, 300)) ** 2))
    assert rows.squares() == pytest.approx(whole, rel=1e-12)
    assert SmootherRows.squares(rows, 10_000) == pytest.approx(whole, rel=1e-12)
    line, _ = least_squares_rows(X, Q)
    assert line._inner_products_are_cheaper(1 << 26)
    assert line.squares() == pytest.approx(SmootherRows.squares(line, 10_000), rel=1e-12)


@pytest.mark.parametrize("columns", [3, 200])
@pytest.mark.parametrize("density", [0.02, 1.0])
def test_inner_products(columns: int, density: float) -> None:
    matrix = RANDOM.standard_normal((90, columns)) * (RANDOM.random((90, columns)) < density)
    for given in (matrix, csr_array(matrix), csr_array(matrix).tocsc()):
        assert np.allclose(dense(inner_products(given, 5000)), matrix.T @ matrix, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kinds", list(product((0.05, 1.0), repeat=2)))
def test_squares_of_factors_of_any_kind(kinds: tuple[float, float]) -> None:
    left, right = (RANDOM.standard_normal(s) * (RANDOM.random(s) < d) for s, d in zip(((70, 30), (30, 80)), kinds, strict=True))
    rows = Factored(*(csr_array(part) if density < 1 else part for part, density in zip((left, right), kinds, strict=True)))
    assert rows.squares() == pytest.approx(np.sum((left @ right) ** 2), rel=1e-12)
    assert SmootherRows.squares(rows, 1000) == pytest.approx(np.sum((left @ right) ** 2), rel=1e-12)


def test_mixtures_in_factors_and_in_blocks() -> None:
    parts = [leaf_rows(RANDOM.integers(0, 4, 50), RANDOM.integers(0, 4, 20), np.ones(50)) for _ in range(3)]
    joined, apart = mixed(parts, [0.5, 0.2, 0.3]), Mixed(parts, [0.5, 0.2, 0.3])
    assert isinstance(joined, Factored)
    assert np.allclose(dense(joined.block(0, 20)), apart.block(0, 20), rtol=0, atol=1e-15)
    targets = RANDOM.standard_normal((50, 2))
    assert np.allclose(joined.times(targets), apart.block(0, 20) @ targets) and np.allclose(apart.times(targets), joined.times(targets))
    assert apart.squares(1000) == pytest.approx(joined.squares(), rel=1e-12)


def test_spans_cover_all_within_the_bound() -> None:
    sizes = RANDOM.integers(1, 50, 200)
    found = list(spans(sizes, 100))
    assert [a for a, _ in found[1:]] == [b for _, b in found[:-1]] and found[0][0] == 0 and found[-1][1] == 200
    assert all(sizes[a:b].sum() <= 100 for a, b in found)
    assert all(sizes[a : b + 1].sum() > 100 for a, b in found[:-1])


def test_no_more_than_a_block_is_held() -> None:
    X, y, Q = made(1500, 1500)
    forest = rows_of(RandomForestRegressor(8, max_leaf_nodes=40, random_state=0).fit(X, y), X, Q)
    stages = rows_of(GradientBoostingRegressor(n_estimators=4, random_state=0).fit(X, y), X, Q)
    for rows, squares in ((forest, lambda: SmootherRows.squares(forest, 1 << 20)), (stages, lambda: stages.squares(1 << 20))):
        tracemalloc.start()
        squares()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 << 20 < 8 * rows.shape[0] * rows.shape[1] // 4
