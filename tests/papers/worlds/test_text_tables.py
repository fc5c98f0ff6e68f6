"""The made tables with text."""

from __future__ import annotations

import numpy as np

from modelweave.papers.worlds import text_tables as world


def test_turning_words_around_is_in_the_data():
    table, y = world.make_rows(0, 6000)
    again, y_again = world.make_rows(0, 6000)
    assert table.equals(again) and (y == y_again).all()
    assert (table["said"].str.split().str.len() == 10).all() and table["shop"].nunique() == 8
    assert 0.4 < table["said"].str.contains(rf"\b{world.NEGATOR}\b").mean() < 0.5
    # a word's bearing on the label before a negator is the opposite of that behind it
    words = np.array([line.split() for line in table["said"]])
    before = np.cumsum(words == world.NEGATOR, axis=1)
    bearing = []
    for word in np.unique(words[words != world.NEGATOR]):
        plain, turned = [((words == word) & (before % 2 == odd)).any(axis=1) for odd in (0, 1)]
        bearing.append((y[plain].mean() - y.mean(), y[turned].mean() - y.mean()))
    assert np.corrcoef(np.array(bearing).T)[0, 1] < -0.8
