"""The whole: verdicts that do not flatter, folds that keep groups and time, rows that members do not cover, and what is saved."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import modelweave
from modelweave import Blend, Split, blend
from modelweave.errors import CompatibilityError, InputError, ModelweaveError, ModelweaveWarning, ParameterError
from modelweave.outputs.predictions.calibration import reliability
from modelweave.outputs.predictions.metrics import METRICS
from modelweave.outputs.predictions.rules import temper
from modelweave.outputs.predictions.verdict import gain_interval

from .slow import make_members, make_numbers

MEMBERS, Y = make_members(0, 400, 3)


def test_the_verdict_is_what_plain_loops_give() -> None:
    found = blend(MEMBERS, Y, method="simplex", seed=3)
    left = {name: np.full((400, 3), np.nan) for name in ("simplex", "best member", "plain mean")}
    for fold in Split(5, seed=3).over(Y):
        part = {name: p[fold.train] for name, p in MEMBERS.items()}
        for name, method in (("simplex", "simplex"), ("best member", "best"), ("plain mean", "mean")):
            rule = blend(part, Y[fold.train], method=method, fall_back=False).rule
            left[name][fold.test] = rule([p[fold.test] for p in MEMBERS.values()])
    for name, p in left.items():
        assert found.verdict.scores[name] == pytest.approx(METRICS["log_loss"].score(Y, p), abs=1e-9), name
    gain = found.verdict.scores["plain mean"] - found.verdict.scores["simplex"]
    line = next(line for line in found.verdict.lines if line.name == "plain mean")
    assert line.gain == pytest.approx(gain) and line.interval is not None and line.interval[0] < gain < line.interval[1]
    assert found.verdict.beats and found.verdict.chosen == "simplex" and "simplex beats the" in str(found.verdict)


def test_where_nothing_helps_it_says_so_and_returns_the_baseline() -> None:
    # members that differ by chance alone: the mean is best, and any learned weights fit noise
    random = np.random.default_rng(5)
    y = random.integers(0, 2, 300)
    members = {f"m{i}": 1 / (1 + np.exp(-(2.0 * y - 1 + 2 * random.standard_normal(300)))) for i in range(8)}
    found = blend(members, y, method="greedy")
    assert not found.verdict.beats and found.verdict.chosen == "plain mean"
    assert "greedy does not beat the plain mean" in found.verdict.sentence and "the plain mean is returned" in found.verdict.sentence
    assert list(found.weights.values()) == pytest.approx([1 / 8] * 8)
    assert found.predict(members) == pytest.approx(np.mean(list(members.values()), axis=0))
    kept = blend(members, y, method="greedy", fall_back=False)
    assert kept.weights != found.weights and "greedy is returned all the same" in kept.verdict.sentence
    exact = blend(members, y, preset="autogluon")
    assert exact.weights == kept.weights, "a preset gives the peer's weights, and the verdict beside them"
    assert not exact.verdict.beats


def test_one_good_member_among_noise_is_returned_alone() -> None:
    random = np.random.default_rng(6)
    members = {"good": MEMBERS["m0"], **{f"noise{i}": random.dirichlet(np.ones(3), 400) for i in range(3)}}
    found = blend(members, Y, method="mean")
    assert found.verdict.chosen == "best member" and found.weights == {"good": 1.0, "noise0": 0.0, "noise1": 0.0, "noise2": 0.0}


def test_groups_are_left_out_whole() -> None:
    # predictions that know their group by heart: a split through groups would trust them
    random = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), 10)
    level = random.standard_normal(40)[groups]
    y = level + 0.3 * random.standard_normal(400)
    members = {"level": level + 0.5 * random.standard_normal(400), "noise": 2 * random.standard_normal(400)}
    split = blend(members, y, method="ridge", groups=groups)
    for fold in Split(5).over(y, groups=groups):
        assert not set(groups[fold.test]) & set(groups[fold.train])
    assert split.verdict.rows == 400
    wide = split.verdict.lines[1].interval
    narrow = blend(members, y, method="ridge").verdict.lines[1].interval
    assert wide is not None and narrow is not None and wide[1] - wide[0] > narrow[1] - narrow[0], "whole groups are drawn"


def test_time_is_looked_back_on_only() -> None:
    # the members swap roles halfway: weights from the past are wrong, and the verdict must see it
    members, y = make_numbers(0, 400, (0.3, 1.5))
    half = np.arange(400) < 240
    swapped = {"m0": np.where(half, members["m0"], members["m1"]), "m1": np.where(half, members["m1"], members["m0"])}
    forward = blend(swapped, y, time=np.arange(400))
    anyhow = blend(swapped, y)
    assert forward.verdict.rows < 400
    assert forward.verdict.scores["greedy"] > anyhow.verdict.scores["greedy"] + 0.1


def test_rows_that_a_member_does_not_cover() -> None:
    gap = MEMBERS["m0"].copy()
    gap[:100] = np.nan
    members = {"m0": gap, "m1": MEMBERS["m1"]}
    found = blend(members, Y)
    exact = blend({name: p[100:] for name, p in members.items()}, Y[100:])
    assert found.weights == exact.weights, "weights come from rows that all cover"
    p = found.predict(members)
    assert p[:100] == pytest.approx(MEMBERS["m1"][:100]) and found.verdict.rows == 400
    apart = {
        "a": np.where(np.arange(400)[:, None] < 200, MEMBERS["m0"], np.nan),
        "b": np.where(np.arange(400)[:, None] < 200, np.nan, MEMBERS["m1"]),
    }
    with pytest.raises(
        CompatibilityError, match="no row is covered by all 2, and weights need some; leave out '.', .* or use method='mean'"
    ):
        blend(apart, Y)
    assert blend(apart, Y, method="mean", fall_back=False).predict(apart)[:200] == pytest.approx(MEMBERS["m0"][:200])


def test_a_member_may_be_missing_when_predicting() -> None:
    found = blend(MEMBERS, Y, fall_back=False)
    without = {name: p for name, p in MEMBERS.items() if name != "m0"}
    stretched = np.array([found.weights["m1"], found.weights["m2"]])
    stretched = stretched / stretched.sum()
    assert found.predict(without) == pytest.approx(stretched[0] * MEMBERS["m1"] + stretched[1] * MEMBERS["m2"])
    with pytest.raises(CompatibilityError, match="unknown member 'm9'"):
        found.predict({"m9": MEMBERS["m0"]})


def test_single_class_rows_and_folds() -> None:
    y = np.r_[np.zeros(57, int), [1, 1, 1]]
    p = np.linspace(0.1, 0.9, 60)
    time = np.arange(60)
    with pytest.raises(CompatibilityError, match="roc_auc: a fold has 10 rows to learn from, all of one class; ask for fewer folds"):
        blend({"a": p, "b": p**2}, y, metric="roc_auc", time=time)
    assert blend({"a": p, "b": p**2}, y, metric="log_loss", time=time).verdict.rows == 50


def test_constant_members_do_no_harm() -> None:
    members = {**MEMBERS, "flat": np.full((400, 3), 1 / 3)}
    for method in ("greedy", "simplex", "gate", "logistic", "nnls"):
        found = blend(members, Y, method=method)
        assert any("'flat' predicts the same for every row" in note for note in found.notes)
        without = blend(MEMBERS, Y, method=method)
        losses = [-np.log(one.predict(given)[np.arange(400), Y]).mean() for one, given in ((found, members), (without, MEMBERS))]
        assert losses[0] <= losses[1] + 0.01


@pytest.mark.parametrize("calibration", ["members", "blend", "both"])
def test_temperatures_mend_members_that_are_too_sure(calibration: str) -> None:
    # labels drawn from p, and members that say p to the fourth power with a little noise
    random = np.random.default_rng(4)
    p = random.dirichlet(np.ones(3), 600)
    y = np.array([random.choice(3, p=row) for row in p])
    sure = {f"m{i}": temper(random.dirichlet(np.ones(3), 600) * 0.05 + p * 0.95, 0.25) for i in range(3)}
    plain = blend(sure, y, method="simplex")
    calibrated = blend(sure, y, method="simplex", calibration=calibration, fall_back=False)
    assert calibrated.verdict.scores["simplex"] < plain.verdict.scores["simplex"] - 0.1
    assert reliability(calibrated.predict(sure), y).error < reliability(plain.predict(sure), y).error / 2


def test_auto_takes_what_is_best_on_rows_left_out() -> None:
    sure = {name: p**3 / (p**3).sum(axis=1, keepdims=True) for name, p in MEMBERS.items()}
    found = blend(sure, Y, method="auto")
    assert "auto chose logistic" in found.notes
    assert found.verdict.scores["auto"] == pytest.approx(blend(sure, Y, method="logistic").verdict.scores["logistic"])


def test_sets_hold_the_truth_as_often_as_asked() -> None:
    found = blend(MEMBERS, Y)
    fresh, y = make_members(77, 4000)
    for alpha in (0.1, 0.3):
        sets = found.predict_set(fresh, alpha=alpha)
        held = sets[np.arange(4000), y].mean()
        assert abs(held - (1 - alpha)) < 0.04
    numbers, t = make_numbers(1, 500)
    ends = blend(numbers, t).predict_set(numbers, alpha=0.2)
    assert np.mean((ends[:, 0] <= t) & (t <= ends[:, 1])) == pytest.approx(0.8, abs=0.03)
    with pytest.raises(ParameterError, match="alpha: must be between 0 and 1"):
        found.predict_set(fresh, alpha=1)


def test_what_is_saved_predicts_the_same(tmp_path: Any) -> None:
    found = blend({n: p[:, 1] for n, p in make_members(1, 300, 2)[0].items()}, make_members(1, 300, 2)[1], calibration="both")
    found.save(tmp_path / "blend.json")
    again = Blend.load(tmp_path / "blend.json")
    members = {n: p[:, 1] for n, p in make_members(2, 50, 2)[0].items()}
    assert np.array_equal(again.predict(members), found.predict(members))
    assert again.verdict == found.verdict and dict(again.weights) == dict(found.weights)
    assert np.array_equal(again.predict_set(members), found.predict_set(members))
    assert again.predict_label(members).tolist() == [int(p > 0.5) for p in found.predict(members)]
    both = {n: np.column_stack([1 - p, p]) for n, p in members.items()}
    assert again.predict(both) == pytest.approx(np.column_stack([1 - found.predict(members), found.predict(members)]))
    with pytest.raises(CompatibilityError, match="explain: a loaded blend does not hold the rows"):
        again.explain()
    data = json.loads((tmp_path / "blend.json").read_text())
    for strange in ({**data, "format": "other"}, "[1]"):
        with pytest.raises(InputError, match="expected the format modelweave.blend/1, got "):
            Blend.from_json(strange)
    with pytest.raises(InputError, match="expected JSON, got a text that is none"):
        Blend.from_json("{")
    assert json.loads(again.to_json()) == json.loads(json.dumps(again.to_dict())) == data
    with pytest.raises(ModelweaveError, match="cannot be read"):
        Blend.load(tmp_path / "none.json")
    with pytest.raises(ModelweaveError, match="cannot be written"):
        found.save(tmp_path / "none" / "blend.json")
    assert [file.name for file in tmp_path.iterdir()] == ["blend.json"]


def test_a_blend_saved_under_older_names_is_read() -> None:
    found = blend(MEMBERS, Y)
    data = found.to_dict()
    older = {"strangeness" if key == "nonconformity" else key: value for key, value in data.items()}
    assert "nonconformity" not in older and len(found.nonconformity) == len(Y)
    assert Blend.from_json(json.dumps(older)).to_dict() == data


def test_the_former_name_of_alpha_is_taken_with_a_warning() -> None:
    found = blend(MEMBERS, Y)
    with pytest.warns(ModelweaveWarning, match="miss is called alpha now"):
        sets = found.predict_set(MEMBERS, miss=0.3)
    assert np.array_equal(sets, found.predict_set(MEMBERS, alpha=0.3))


def test_without_folds_nothing_is_judged() -> None:
    found = blend(MEMBERS, Y, folds=None)
    assert not found.verdict.judged and "no rows can be left out" in str(found.verdict) and found.nonconformity == ()
    assert found.weights == blend(MEMBERS, Y, fall_back=False).weights
    with pytest.raises(CompatibilityError, match="made without rows left out"):
        found.predict_set(MEMBERS)


def test_the_order_of_members_does_not_matter() -> None:
    for method in ("greedy", "simplex", "nnls", "logistic"):
        one = blend(MEMBERS, Y, method=method)
        other = blend(dict(reversed(MEMBERS.items())), Y, method=method)
        assert one.predict(MEMBERS) == pytest.approx(other.predict(MEMBERS), abs=1e-4), method


def test_inputs_are_left_alone() -> None:
    copies = {name: p.copy() for name, p in MEMBERS.items()}
    blend(MEMBERS, Y, calibration="both", method="gate").predict(MEMBERS)
    assert all(np.array_equal(copies[name], p) for name, p in MEMBERS.items())


def test_the_interval_covers_the_true_gain() -> None:
    # squared errors of N(0, 1) against N(0, 1.1): the true gain is .1
    inside = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        y = np.zeros(400)
        p, q = random.standard_normal(400), np.sqrt(1.1) * random.standard_normal(400)
        low, high = gain_interval(METRICS["mse"], y, p, q, seed=seed, draws=300)
        inside += low <= 0.1 <= high
    assert inside >= 51


def test_public_names() -> None:
    assert modelweave.blend is blend and "greedy" in modelweave.LEARNERS
    assert {"blend", "Blend", "Split"} <= set(modelweave.__all__)
