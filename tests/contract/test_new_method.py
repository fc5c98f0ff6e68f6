"""A method of one's own: a part, a row and its oracle, and everything else follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import modelweave
from modelweave.catalog import METHODS
from modelweave.cli.app import main
from modelweave.recipes.language.schema import recipe_schema
from modelweave.row import Parameter
from modelweave.weights.combine.mixing import weighted_sum
from modelweave.weights.method import Method, Needs
from modelweave.weights.part import Context, Ranks, selection, tensors


# the part
@selection("density")
def keep_middle(count: int, *, density: float) -> Ranks:
    """The `density` share of entries in the middle of the ranking."""
    kept = max(1, int(density * count))
    return Ranks((count - kept) // 2, kept)


@tensors("power", sees="element")
def power_mean(deltas: Any, context: Context, *, power: int) -> Any:
    """The odd root of the mean odd power."""
    mean = (deltas**power).mean(0)
    return mean.sign() * mean.abs() ** (1 / power)


# the rows
MIDDLE = Method(
    "toy_middle",
    "Toy",
    "base + sum of w_j middle(d_j)",
    "this test",
    group="toys",
    purpose="a test",
    combine=weighted_sum,
    per_delta=(keep_middle,),
    parameters=(
        Parameter("weight", "float", 1.0, scope="model", help="the member's coefficient"),
        Parameter("density", "float", 1.0, scope="model", above=0, at_most=1, help="share kept"),
        Parameter("normalize", "bool", False, help="divide by the weights"),
    ),
    needs=Needs("required"),
)
POWER = Method(
    "toy_power",
    "Toy",
    "base + the root of the mean power",
    "this test",
    group="toys",
    purpose="a test",
    combine=power_mean,
    parameters=(Parameter("power", "int", 3, at_least=1, help="an odd number"),),
    needs=Needs("required"),
)


@pytest.fixture(autouse=True)
def catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in (MIDDLE, POWER, AXES):
        monkeypatch.setitem(METHODS, row.name, row)


def upside_down(deltas: Any, context: Context) -> Any:
    """A space in which rows are in the opposite order."""
    return deltas.flip(1), lambda direction: direction.flip(0)


def first_row_only(deltas: Any, context: Context) -> Any:
    """Sees whole matrices: sets all but the first row to zero, in whatever space it is."""
    total = deltas.sum(0)
    total[1:] = 0
    return total


def by_depth(direction: Any, context: Context) -> Any:
    """Deeper layers move more."""
    return direction * (1 + (context.layer or 0))


AXES = Method(
    "toy_axes",
    "Toy",
    "the last row, more in deeper layers",
    "this test",
    group="toys",
    purpose="a test",
    combine=first_row_only,
    space=upside_down,
    after=(by_depth,),
    needs=Needs("required"),
)


# the oracles
def test_a_space_and_a_step_after() -> None:
    base = {f"layers.{i}.w": torch.zeros(2, 2) for i in range(2)}
    merged = modelweave.merge([{n: torch.ones(2, 2) for n in base}], method="toy_axes", base=base)
    assert merged["layers.0.w"].tolist() == [[0, 0], [1, 1]]
    assert merged["layers.1.w"].tolist() == [[0, 0], [2, 2]]


def test_axes_that_do_not_go_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "toy_wrong", replace(MIDDLE, name="toy_wrong", after=(by_depth,)))
    with pytest.raises(modelweave.ModelweaveError, match="go with a combine that is a function of tensors"):
        modelweave.merge([{"w": torch.ones(2)}], method="toy_wrong", base={"w": torch.ones(2)})


def test_the_middle_by_hand() -> None:
    base = {"w": torch.zeros(5)}
    merged = modelweave.merge([{"w": torch.tensor([5.0, -1, 3, 2, -4])}], method="toy_middle", base=base, density=0.6)
    assert merged["w"].tolist() == [0, 0, 3, 2, -4]


def test_the_power_mean_by_hand() -> None:
    base = {"w": torch.zeros(2)}
    merged = modelweave.merge([{"w": torch.tensor([1.0, -2])}, {"w": torch.tensor([1.0, 2])}], method="toy_power", base=base)
    assert merged["w"].tolist() == pytest.approx([1, 0])


def test_a_row_or_a_function_need_not_be_in_the_table() -> None:
    members, base = [{"w": torch.tensor([5.0, -1, 3, 2, -4])}], {"w": torch.zeros(5)}
    outside = replace(MIDDLE, name="toy_outside")
    assert modelweave.merge(members, method=outside, base=base, density=0.6)["w"].tolist() == [0, 0, 3, 2, -4]
    assert modelweave.prepare(members, method=outside, base=base, density=0.6).at(2)["w"].tolist() == [0, 0, 6, 4, -8]
    with pytest.raises(modelweave.ModelweaveError, match="unknown parameter of toy_outside 'densty'; did you mean 'density'"):
        modelweave.merge(members, method=outside, base=base, densty=0.6)

    def largest(values: Any, context: Context) -> Any:
        return values.max(0).values

    pair = [{"w": torch.tensor([1.0, -2])}, {"w": torch.tensor([0.0, 2])}]
    assert modelweave.merge(pair, method=largest)["w"].tolist() == [1, 2]
    assert modelweave.merge(pair, method=largest, base={"w": torch.tensor([0.5, 0])})["w"].tolist() == [1, 2]


def test_everything_else_follows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "toy_middle"]) == 0
    shown = capsys.readouterr().out
    assert "keep_middle -> weighted_sum" in shown and "a number above 0 and at most 1" in shown
    assert "toy_power" in str(recipe_schema())
    with pytest.raises(modelweave.ModelweaveError, match="density must be a number above 0"):
        modelweave.merge([{"w": torch.ones(2)}], method="toy_middle", base={"w": torch.ones(2)}, density=0)
