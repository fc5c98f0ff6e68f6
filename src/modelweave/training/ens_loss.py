"""EnsLoss: every batch is trained with the derivatives of another calibrated convex loss, drawn at random."""

from __future__ import annotations

import math
from typing import Any, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import CompatibilityError, ParameterError

Values = TypeVar("Values", NDArray[Any], torch.Tensor)


@overload
def inverse_box_cox(draws: NDArray[Any], box_cox: float = 0.0) -> NDArray[np.float64]: ...
@overload
def inverse_box_cox(draws: torch.Tensor, box_cox: float = 0.0) -> torch.Tensor: ...
def inverse_box_cox(draws: Any, box_cox: float = 0.0) -> Any:
    """Positive magnitudes from normal draws: max(0, 1 + box_cox u)^(1 / box_cox), and exp(u) at box_cox 0.

    draws: an array or a tensor of any shape. box_cox: any finite number; below 0, where 1 + box_cox u <= 0, the magnitude is infinite.
    Source: arXiv 2409.00908, section 3, and its code.

    >>> inverse_box_cox(np.array([-3.0, -1, 0, 1]), 0.5)
    array([0.  , 0.25, 1.  , 2.25])
    """
    if not math.isfinite(box_cox):
        raise ParameterError(f"inverse_box_cox: box_cox must be finite, got {box_cox}")
    u = _tensor(draws)
    found = torch.exp(u) if box_cox == 0 else torch.exp(torch.log1p((box_cox * u).clamp(min=-1)) / box_cox)
    return found if isinstance(draws, torch.Tensor) else found.numpy()


def margin_derivatives(
    margins: Values,
    draws: Values,
    *,
    box_cox: float = 0.0,
    clip: float | None = 1.0,
    tail: float | None = 1.0,
    offset: float = 1e-6,
) -> Values:
    """The derivative of a random calibrated convex loss at each margin: below 0, and never falling as the margin grows.

    d = -min(inverse_box_cox(draws), clip); the i-th smallest d goes to the i-th smallest margin; where margin > tail, d is multiplied
    by tail / margin; then offset is taken off.

    Nothing is differentiated through. Equal margins get their derivatives in the order of rows. Usable as a gradient elsewhere: the
    derivative of row b by its score is y_b d_b. Source: arXiv 2409.00908, section 3; clip, tail and offset as in its code.

    Args:
        margins: (batch,), y f(x) with y in {-1, +1}.
        draws: (batch,), standard normal, in any order; as margins a NumPy array or a tensor on the same device.
        box_cox: power of the inverse Box-Cox transform that makes the magnitudes.
        clip: largest magnitude before the offset, above 0, or None.
        tail: margin from which magnitudes fall as 1 / margin, above 0, or None.
        offset: from 0.

    Returns:
        (batch,) in the margins' dtype, float64 from whole numbers.

    Raises:
        ParameterError: for options.
        CompatibilityError: for shapes that differ or are empty.

    >>> z, u = np.array([-0.5, 2.0, 0.3, 1.5]), np.array([0.2, -1.0, 0.5, -2.0])
    >>> margin_derivatives(z, u).round(6)
    array([-1.000001, -0.067669, -1.000001, -0.245254])
    """
    _check_options("margin_derivatives", box_cox, clip, tail, offset)
    z, u = _tensor(margins).detach(), _tensor(draws).detach()
    if z.ndim != 1 or z.shape != u.shape or len(z) == 0:
        raise CompatibilityError(
            f"margin_derivatives: margins and draws must both be (batch,) and not empty, got {tuple(z.shape)} and {tuple(u.shape)}"
        )
    magnitudes = inverse_box_cox(u, box_cox).to(z.dtype)
    if clip is not None:
        magnitudes = magnitudes.clamp(max=clip)
    found = torch.empty_like(z)
    found[z.argsort(stable=True)] = -magnitudes.sort(descending=True).values
    if tail is not None:
        found *= tail / z.clamp(min=tail)
    found -= offset
    return found if isinstance(margins, torch.Tensor) else found.numpy()


class EnsLoss(torch.nn.Module):
    """A criterion for two classes whose gradient is that of a loss drawn anew for every batch.

    loss = mean_b d_b z_b with z_b = y_b f(x_b), y = 2 target - 1 and d = margin_derivatives(z, draws) held fixed, so that the
    gradient is mean_b y_b d_b grad f(x_b).

    WARNING: the value is not a loss. It can be below 0 and two batches' values do not compare. Log, stop early and schedule
    by the logistic loss or the accuracy instead. Its gradient alone is what it is for.

    Called with scores, (batch,) or (batch, 1), before any sigmoid, and targets of 0 and 1 in either of these shapes. Half precision is
    raised to float32. Predict class 1 where the score is above 0; a score has no scale, so calibrate before reading it as a
    probability. The generator lives on the CPU whatever the device of the scores, and it is part of state_dict(), copies and pickles,
    with box_cox and the number of calls: a resumed run goes on identically. Every call draws, also without gradient: use another
    criterion for validation. Source: arXiv 2409.00908, algorithm 1.

    Args:
        seed: of this module's own generator; the global one is neither read nor moved. Under data parallelism give every process its own.
        box_cox: see `margin_derivatives`, as are clip, tail and offset.
        period: every so many calls box_cox is drawn anew from U(-1, 1); None for never, which is what the published results use (their
            code counts epochs there).
        clip: largest magnitude.
        tail: margin from which magnitudes fall.
        offset: taken off every derivative.

    Raises:
        ParameterError: for options.
        CompatibilityError: for shapes that do not fit, an empty batch and targets other than 0 and 1 (looked at in every batch on the CPU,
            in the first one elsewhere, where looking stalls the device).

    >>> scores = torch.tensor([0.5, -2.0, 0.3], requires_grad=True)
    >>> EnsLoss(seed=0)(scores, torch.tensor([1.0, 0.0, 0.0])).backward()
    >>> scores.grad.sign()
    tensor([-1.,  1.,  1.])
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        box_cox: float = 0.0,
        period: int | None = None,
        clip: float | None = 1.0,
        tail: float | None = 1.0,
        offset: float = 1e-6,
    ) -> None:
        super().__init__()
        _check_options("EnsLoss", box_cox, clip, tail, offset)
        if period is not None and (not isinstance(period, int) or period < 1):
            raise ParameterError(f"EnsLoss: period must be a whole number of calls from 1, or None for never, got {period!r}")
        if period is not None and clip is None:
            raise ParameterError("EnsLoss: period draws values of box_cox below 0, whose magnitudes can be infinite; give clip as well")
        self.box_cox, self.period, self.clip, self.tail, self.offset = float(box_cox), period, clip, tail, offset
        self.calls = 0
        self.generator = torch.Generator().manual_seed(seed)

    def forward(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """A number to call backward() on.

        Args:
            scores: (batch,) or (batch, 1), before any sigmoid.
            targets: 0 or 1, in either of these shapes.
        """
        margins = self.margins(scores, targets)
        return (self.derivatives(margins.detach()) * margins).mean()

    def margins(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """y f(x) of each row, (batch,), checked.

        Args:
            scores: (batch,) or (batch, 1), before any sigmoid.
            targets: 0 or 1, in either of these shapes.
        """
        for name, values in (("scores", scores), ("targets", targets)):
            if values.ndim not in (1, 2) or values.numel() != len(values) or len(values) == 0:
                raise CompatibilityError(f"EnsLoss: {name} must be (batch,) or (batch, 1) and not empty, got {tuple(values.shape)}")
        if len(scores) != len(targets):
            raise CompatibilityError(f"EnsLoss: {len(scores)} scores, but {len(targets)} targets; expected one target a score")
        if (targets.device.type == "cpu" or self.calls == 0) and not bool(((targets == 0) | (targets == 1)).all()):
            raise CompatibilityError("EnsLoss: targets must be 0 or 1; map -1 and 1 by (y + 1) / 2; soft labels are not supported")
        flat = scores.flatten()
        flat = flat if flat.dtype in (torch.float32, torch.float64) else flat.float()
        return (2 * targets.flatten().to(flat.dtype) - 1) * flat

    def derivatives(self, margins: torch.Tensor) -> torch.Tensor:
        """The next draw's derivatives at these margins, (batch,)."""
        self.calls += 1
        if self.period is not None and self.calls % self.period == 0:
            self.box_cox = float(2 * torch.rand((), generator=self.generator, dtype=torch.float64) - 1)
        draws = torch.randn(len(margins), generator=self.generator).to(margins.device)
        options = {"box_cox": self.box_cox, "clip": self.clip, "tail": self.tail, "offset": self.offset}
        return margin_derivatives(margins, draws, **options)  # type: ignore[arg-type]

    def get_extra_state(self) -> dict[str, Any]:
        """What state_dict() keeps."""
        return {"generator": self.generator.get_state(), "box_cox": self.box_cox, "calls": self.calls}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """What load_state_dict() brings back."""
        self.generator = torch.Generator()
        self.generator.set_state(state["generator"].cpu())
        self.box_cox, self.calls = float(state["box_cox"]), int(state["calls"])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "generator": self.generator.get_state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        generator = torch.Generator()
        generator.set_state(state["generator"])
        super().__setstate__({**state, "generator": generator})  # type: ignore[no-untyped-call]

    def extra_repr(self) -> str:
        """The options, for print()."""
        return f"box_cox={self.box_cox}, period={self.period}, clip={self.clip}, tail={self.tail}, offset={self.offset}"


def _tensor(values: Any) -> torch.Tensor:
    """As a floating-point tensor; NumPy arrays and lists of whole numbers become float64."""
    found = values if isinstance(values, torch.Tensor) else torch.from_numpy(np.array(values))
    return found if found.is_floating_point() else found.double()


def _check_options(where: str, box_cox: float, clip: float | None, tail: float | None, offset: float) -> None:
    if not math.isfinite(box_cox):
        raise ParameterError(f"{where}: box_cox must be finite, got {box_cox}")
    for name, value in (("clip", clip), ("tail", tail)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ParameterError(f"{where}: {name} must be above 0 and finite, or None for off, got {value}")
    if not (math.isfinite(offset) and offset >= 0):
        raise ParameterError(f"{where}: offset must be 0 or above and finite, got {offset}")
    if clip is None and box_cox < 0:
        raise ParameterError(f"{where}: with box_cox {box_cox}, below 0, magnitudes can be infinite; give clip as well")
