import numpy as np
import pytest

from modelweave.papers.outputs import text_table_13 as paper
from modelweave.papers.worlds.text_tables import NEGATOR, make_rows


def test_turning_words_around_is_in_the_data():
    table, y = make_rows(0, 6000)
    again, y_again = make_rows(0, 6000)
    assert table.equals(again) and (y == y_again).all()
    assert (table["said"].str.split().str.len() == 10).all() and table["shop"].nunique() == 8
    assert 0.4 < table["said"].str.contains(rf"\b{NEGATOR}\b").mean() < 0.5
    # a word's bearing on the label before a negator is the opposite of that behind it
    words = np.array([line.split() for line in table["said"]])
    before = np.cumsum(words == NEGATOR, axis=1)
    bearing = []
    for word in np.unique(words[words != NEGATOR]):
        plain, turned = [((words == word) & (before % 2 == odd)).any(axis=1) for odd in (0, 1)]
        bearing.append((y[plain].mean() - y.mean(), y[turned].mean() - y.mean()))
    assert np.corrcoef(np.array(bearing).T)[0, 1] < -0.8


def test_a_small_run_has_every_condition_and_can_be_judged():
    rows = [{"seed": 0, **row} for row in paper.run(0, train=160, test=80, epochs=1)]
    conditions = [row["condition"] for row in rows]
    assert len(conditions) == len(set(conditions)) == 17
    assert all(0 <= row["auc"] <= 1 and 0 <= row["out_of_fold"] <= 1 for row in rows)
    checks = {check.name: check for check in paper.EXPERIMENT.judge(rows)}
    assert checks["copies of one member - that member"].got == (0.0,)
    assert checks["fed in-sample: out-of-fold AUC rises"].holds
    by = {row["condition"]: row["auc"] for row in rows}
    assert checks["stack - weighted"].got[0] == pytest.approx(by["stack"] - by["weighted"])
    assert by["gbm_tabular"] == by["gbm_tabular, text shuffled"]
