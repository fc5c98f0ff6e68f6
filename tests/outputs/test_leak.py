import numpy as np
import pytest

from modelweave.errors import CompatibilityError
from modelweave.outputs.leak import find_leak


@pytest.mark.parametrize("seed", range(5))
def test_leaks_by_hand_and_by_chance(seed):
    random = np.random.default_rng(seed)
    p = random.random((2, 500))
    y = (random.random((2, 500)) < p).astype(int)
    assert not find_leak("honest", p[0], y[0], p[1], y[1]).flagged
    known = np.where(y[0], 0.5 + p[0] / 2, p[0] / 2)
    leak = find_leak("sees", known, y[0], p[1], y[1])
    assert leak.flagged
    before, after = 2 * (known - y[0]) ** 2, 2 * (p[1] - y[1]) ** 2
    assert leak.gap == pytest.approx(after.mean() - before.mean())
    assert leak.error == pytest.approx(np.sqrt(before.var(ddof=1) / 500 + after.var(ddof=1) / 500))


def test_of_two_classes_one_column_or_two_are_the_same():
    y, p, new = np.array([0, 1, 1]), np.array([0.2, 0.7, 0.9]), np.array([0.5, 0.4, 0.6])
    assert find_leak("x", p, y, new, y) == find_leak("x", np.column_stack([1 - p, p]), y, np.column_stack([1 - new, new]), y)


def test_leaks_of_numbers_and_of_rows_without_predictions():
    y = np.arange(4.0)
    leak = find_leak("x", np.array([np.nan, 1, 2, 4.0]), y, y + np.array([1, 1, 1, 2]), y)
    assert leak.gap == pytest.approx(7 / 4 - 1 / 3)
    with pytest.raises(CompatibilityError, match="covers 1 and 4 rows"):
        find_leak("x", np.array([np.nan, np.nan, np.nan, 4.0]), y, y, y)


def test_three_standard_errors_are_the_threshold():
    y, used = np.zeros(200), np.tile([0.0, 1.0], 100)
    error = np.sqrt(2 * used.var(ddof=1) / 200)
    for errors, flagged in ((2.9, False), (3.1, True)):
        # squares of the same spread, about a mean that is higher
        new = np.sqrt(used + errors * error)
        leak = find_leak("x", used, y, new, y)
        assert leak.gap == pytest.approx(errors * error) and leak.error == pytest.approx(error) and leak.flagged == flagged


def test_rows_of_a_group_count_once():
    # ten groups of ten rows that err alike: 100 rows alone would be sure of the difference
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 10)
    y = np.zeros(100)
    used, new = np.repeat(random.random(10) ** 0.5, 10), np.repeat(random.random(10) ** 0.25, 10)
    alone, grouped = find_leak("x", used, y, new, y), find_leak("x", used, y, new, y, groups=groups, new_groups=groups)
    assert grouped.gap == pytest.approx(alone.gap)
    assert grouped.error == pytest.approx(np.sqrt(((used**2)[::10].var(ddof=1) + (new**2)[::10].var(ddof=1)) / 10))
    assert grouped.error > 2.5 * alone.error
