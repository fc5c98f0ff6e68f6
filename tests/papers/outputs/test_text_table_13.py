import pytest

from modelweave.papers.outputs import text_table_13 as paper


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
