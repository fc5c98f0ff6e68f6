"""EnsLoss: numbers by hand, a slow reference, its properties, and its state."""

from __future__ import annotations

import copy
import io
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from modelweave.errors import CompatibilityError, ParameterError
from modelweave.training.ens_loss import EnsLoss, inverse_box_cox, margin_derivatives

Z, U = [-0.5, 2.0, 0.3, 1.5], [0.2, -1.0, 0.5, -2.0]


def slow(z: list[float], u: list[float], box_cox: float = 0.0, clip: float = 1.0, tail: float = 1.0, offset: float = 1e-6) -> list[float]:
    """One element at a time, in Python's own numbers."""
    sizes = []
    for value in u:
        inside = 1 + box_cox * value
        if box_cox == 0:
            size = math.exp(value)
        elif inside <= 0:
            size = 0.0 if box_cox > 0 else math.inf
        else:
            size = inside ** (1 / box_cox)
        sizes.append(min(size, clip))
    sizes.sort(reverse=True)
    found = [0.0] * len(z)
    for size, b in zip(sizes, sorted(range(len(z)), key=lambda b: z[b]), strict=True):
        found[b] = -size * (tail / z[b] if z[b] > tail else 1) - offset
    return found


def test_derivatives_by_hand() -> None:
    assert inverse_box_cox(np.array(U)) == pytest.approx([1.2214, 0.3679, 1.6487, 0.1353], abs=5e-5)
    plain = margin_derivatives(np.array(Z), np.array(U), tail=None, offset=0)
    assert plain == pytest.approx([-1, -0.1353, -1, -0.3679], abs=5e-5)
    found = margin_derivatives(np.array(Z), np.array(U))
    assert found == pytest.approx([-1.000001, -0.067669, -1.000001, -0.245254], abs=5e-7)
    assert np.mean(found * Z) == pytest.approx(-0.0758, abs=5e-5)


@pytest.mark.parametrize(
    ("box_cox", "expected"),
    [(0.0, [0.04979, 0.36788, 1, 2.71828]), (0.5, [0, 0.25, 1, 2.25]), (1.0, [0, 0, 1, 2]), (-0.5, [0.16, 0.44444, 1, 4])],
)
def test_inverse_box_cox_by_hand(box_cox: float, expected: list[float]) -> None:
    assert inverse_box_cox(np.array([-3.0, -1, 0, 1]), box_cox) == pytest.approx(expected, abs=5e-6)
    assert inverse_box_cox(torch.tensor([-3.0, -1, 0, 1]), box_cox).tolist() == pytest.approx(expected, abs=5e-6)


def test_inverse_box_cox_undoes_scipys() -> None:
    special = pytest.importorskip("scipy.special")
    values = np.linspace(0.05, 6, 50)
    for box_cox in (-0.9, -0.2, 1e-9, 0.0, 0.3, 1.0):
        assert inverse_box_cox(special.boxcox(values, box_cox), box_cox) == pytest.approx(values, rel=1e-9)


def test_a_small_box_cox_is_the_exponential_in_float32_too() -> None:
    draws = torch.linspace(-3, 3, 13)
    torch.testing.assert_close(inverse_box_cox(draws, 1e-8), draws.exp(), rtol=1e-6, atol=0)


def test_infinite_magnitudes_are_clipped_to_minus_one() -> None:
    assert inverse_box_cox(np.array([2.0, 5.0]), -0.5).tolist() == [math.inf, math.inf]
    assert margin_derivatives(np.array([0.0, 0.5]), np.array([2.0, 5.0]), box_cox=-0.5, offset=0).tolist() == [-1, -1]


@pytest.mark.parametrize("box_cox", [-0.9, -0.3, 0.0, 0.4, 1.0])
@pytest.mark.parametrize("options", [{}, {"clip": 3.0}, {"tail": 0.5}, {"offset": 0.01, "tail": 2.0}])
def test_against_a_slow_reference(box_cox: float, options: dict[str, float]) -> None:
    random = np.random.default_rng(0)
    for size in (1, 2, 17, 200):
        z, u = 2 * random.standard_normal(size), random.standard_normal(size)
        wanted = slow(z.tolist(), u.tolist(), box_cox, **options)
        assert margin_derivatives(z, u, box_cox=box_cox, **options) == pytest.approx(wanted, rel=1e-12, abs=1e-15)
        tensors = torch.tensor(z, dtype=torch.float32), torch.tensor(u, dtype=torch.float32)
        assert margin_derivatives(*tensors, box_cox=box_cox, **options).tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_it_never_falls_with_the_margin_and_stays_in_its_range() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        z, u = 3 * random.standard_normal(64), random.standard_normal(64)
        found = margin_derivatives(z, u, box_cox=random.uniform(-1, 1))[np.argsort(z)]
        assert (np.diff(found) >= 0).all() and found[0] >= -1.000001 - 1e-12 and found[-1] <= -1e-6


def test_equal_margins_take_derivatives_in_the_order_of_rows() -> None:
    assert margin_derivatives(np.zeros(3), np.array([-1.0, -3, -2]), offset=0) == pytest.approx(np.exp([-1, -2, -3]) * -1)


def test_inputs_stay_as_they_were_and_the_type_is_the_margins() -> None:
    z, u = np.array(Z), np.array(U)
    z.flags.writeable = u.flags.writeable = False
    margin_derivatives(z, u)
    assert z.tolist() == Z and u.tolist() == U
    assert margin_derivatives(np.float32(Z), np.array(U)).dtype == np.float32
    assert margin_derivatives(np.array([2, -1]), np.array([0.5, 0.1])).dtype == np.float64


def test_the_module_is_its_core_on_its_own_draws() -> None:
    scores = torch.tensor([0.5, 2.0, -0.3, -1.5], requires_grad=True)
    targets = torch.tensor([0.0, 1.0, 0.0, 0.0])
    value = EnsLoss(seed=3)(scores, targets)
    value.backward()
    draws = torch.randn(4, generator=torch.Generator().manual_seed(3))
    signs = 2 * targets - 1
    d = margin_derivatives(signs * scores.detach(), draws)
    assert value.item() == pytest.approx(float((d * signs * scores.detach()).mean()))
    torch.testing.assert_close(scores.grad, signs * d / 4)


@pytest.mark.parametrize("shapes", [((4,), (4,)), ((4, 1), (4,)), ((4,), (4, 1)), ((4, 1), (4, 1))])
@pytest.mark.parametrize("kind", [torch.float32, torch.int64, torch.bool])
def test_shapes_and_types_of_targets(shapes: Any, kind: torch.dtype) -> None:
    scores, targets = torch.tensor([0.3, -1.0, 2.0, 0.1]), torch.tensor([1, 0, 0, 1])
    wanted = EnsLoss(seed=1)(scores, targets.float())
    assert EnsLoss(seed=1)(scores.reshape(shapes[0]), targets.to(kind).reshape(shapes[1])) == wanted


def test_half_precision_is_raised_and_float64_kept() -> None:
    scores = torch.tensor([0.5, -2.0], dtype=torch.bfloat16, requires_grad=True)
    value = EnsLoss()(scores, torch.tensor([1, 0]))
    value.backward()
    assert value.dtype == torch.float32 and scores.grad.dtype == torch.bfloat16 and bool((scores.grad != 0).all())
    assert EnsLoss()(torch.zeros(2, dtype=torch.float64), torch.tensor([1, 0])).dtype == torch.float64


def test_permuting_a_batch_permutes_the_gradient() -> None:
    random = torch.Generator().manual_seed(0)
    scores, targets = torch.randn(40, generator=random), torch.randint(2, (40,), generator=random)
    order = torch.randperm(40, generator=random)
    gradients, values = [], []
    for rows in (torch.arange(40), order):
        own = scores[rows].clone().requires_grad_()
        values.append(EnsLoss(seed=5)(own, targets[rows]))
        values[-1].backward()
        gradients.append(own.grad)
    assert torch.equal(gradients[0][order], gradients[1])
    torch.testing.assert_close(values[0], values[1])


def test_no_gradient_flows_through_the_derivatives() -> None:
    scores = torch.tensor([3.0, 5.0], requires_grad=True)
    EnsLoss(seed=0)(scores, torch.ones(2)).backward()  # both in the tail, where d depends on the margin
    assert (scores.grad < 0).all() and scores.grad[0] < scores.grad[1]


def test_the_expected_gradient_is_that_of_the_order_statistics() -> None:
    """At two fitted margins the mean derivatives over many draws are the means of the larger and the smaller of two clipped draws."""
    criterion, total = EnsLoss(seed=0), torch.zeros(2)
    margins = torch.tensor([0.1, 0.9])
    for _ in range(4000):
        total += criterion.derivatives(margins)
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    size, weight = np.minimum(np.exp(nodes), 1), weights / weights.sum()
    larger = np.maximum.outer(size, size)
    smaller = np.minimum.outer(size, size)
    wanted = [-(weight @ larger @ weight), -(weight @ smaller @ weight)]
    assert (total / 4000).tolist() == pytest.approx(wanted, abs=0.015)


def _steps(criterion: EnsLoss, count: int) -> list[float]:
    scores, targets = torch.linspace(-1, 2, 8), torch.tensor([0, 1] * 4)
    return [float(criterion(scores, targets)) for _ in range(count)]


@pytest.mark.parametrize("period", [None, 2])
def test_a_resumed_run_goes_on_identically(period: int | None) -> None:
    whole = _steps(EnsLoss(seed=7, period=period), 9)
    first = EnsLoss(seed=7, period=period)
    assert _steps(first, 4) == whole[:4]
    room = io.BytesIO()
    torch.save(first.state_dict(), room)
    room.seek(0)
    second = EnsLoss(seed=99, period=period)
    second.load_state_dict(torch.load(room, weights_only=True))
    assert _steps(second, 5) == whole[4:]
    for other in (copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        assert _steps(other, 5) == whole[4:]
    assert _steps(first, 5) == whole[4:]


def test_the_same_seed_is_the_same_and_the_global_generator_is_untouched() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert _steps(EnsLoss(seed=4), 3) == _steps(EnsLoss(seed=4), 3) != _steps(EnsLoss(seed=5), 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_box_cox_is_drawn_anew_every_period() -> None:
    criterion, seen = EnsLoss(seed=0, period=3), []
    for _ in range(3000):
        _steps(criterion, 1)
        seen.append(criterion.box_cox)
    assert seen[:2] == [0, 0] and seen[2] == seen[3] == seen[4] != seen[5]
    drawn = np.array(seen[2::3])
    assert len(set(drawn)) == 1000 and abs(drawn.mean()) < 0.06 and -1 < drawn.min() < -0.98 and 0.98 < drawn.max() < 1
    assert drawn.var() == pytest.approx(1 / 3, abs=0.03)
    assert set(_boxes(EnsLoss(seed=0), 10)) == {0.0}


def _boxes(criterion: EnsLoss, count: int) -> list[float]:
    return [criterion.box_cox for _ in range(count) if _steps(criterion, 1)]


def test_it_fits_a_separable_line() -> None:
    x = torch.linspace(-1, 1, 64)[:, None] + 0.3
    y = (x[:, 0] > 0.3).float()
    layer = torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer, criterion = torch.optim.SGD(layer.parameters(), lr=0.3), EnsLoss()
    for _ in range(400):
        optimizer.zero_grad()
        criterion(layer(x), y).backward()
        optimizer.step()
    assert ((layer(x)[:, 0] > 0) == (y > 0)).float().mean() >= 0.95


@pytest.mark.parametrize(
    "options",
    [{"clip": 0}, {"clip": -1.0}, {"tail": 0}, {"tail": math.inf}, {"offset": -1}, {"box_cox": math.nan}, {"box_cox": -0.5, "clip": None}],
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(options))):
        EnsLoss(**options)
    with pytest.raises(ParameterError, match="margin_derivatives"):
        margin_derivatives(np.array(Z), np.array(U), **options)


@pytest.mark.parametrize("options", [{"period": 0}, {"period": 1.5}, {"period": 2, "clip": None}])
def test_bad_periods(options: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="period"):
        EnsLoss(**options)


@pytest.mark.parametrize(
    ("scores", "targets", "match"),
    [
        (torch.zeros(3), torch.zeros(2), "3 scores, but 2 targets"),
        (torch.zeros(3, 2), torch.zeros(3), "scores must be"),
        (torch.zeros(0), torch.zeros(0), "not empty"),
        (torch.zeros(2), torch.tensor([-1.0, 1.0]), "must be 0 or 1"),
        (torch.zeros(2), torch.tensor([0.1, 0.9]), "soft labels"),
        (torch.zeros(1, 1, 1), torch.zeros(1), "scores must be"),
    ],
)
def test_bad_batches(scores: torch.Tensor, targets: torch.Tensor, match: str) -> None:
    with pytest.raises(CompatibilityError, match=match):
        EnsLoss()(scores, targets)


def test_bad_margins() -> None:
    for z, u in (([], []), ([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]])):
        with pytest.raises(CompatibilityError, match="both be"):
            margin_derivatives(np.array(z), np.array(u))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_another_device_draws_the_same() -> None:
    scores, targets = torch.linspace(-1, 2, 64), torch.tensor([0, 1] * 32)
    criterion = EnsLoss(seed=7).cuda()
    found = criterion(scores.cuda(), targets.cuda())
    assert found.is_cuda and float(found) == pytest.approx(float(EnsLoss(seed=7)(scores, targets)), rel=1e-5)
    state = {"_extra_state": {**criterion.state_dict()["_extra_state"]}}
    state["_extra_state"]["generator"] = state["_extra_state"]["generator"].cuda()  # as torch.load(map_location="cuda") gives it
    other = EnsLoss()
    other.load_state_dict(state)
    assert float(other(scores, targets)) == pytest.approx(float(criterion(scores.cuda(), targets.cuda())), rel=1e-5)
