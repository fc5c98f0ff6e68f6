"""The training loop: one for every family."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import CompatibilityError, ParameterError
from .batches import Batches, as_batches
from .best import Best
from .engines import Accelerated, Engine
from .inference import call
from .modes import modes_kept
from .progress import progress_line
from .resume import check_same_run, read_state, write_state
from .schedules import Schedule
from .seeds import Generator, random_state, restore_random_state, seeded
from .stepping import Loss, Stepper


@dataclass(frozen=True)
class Report:
    """What callbacks are told: where the run is.

    Attributes:
        network: the one that is trained.
        epoch: from 1.
        step: from 1, over all epochs.
        steps: of the whole run, None where that is not known.
        loss: of this step's batch; after an epoch, the mean over its batches.
        score: of the validation, where there was one.
    """

    network: nn.Module
    epoch: int
    step: int
    steps: int | None
    loss: Tensor
    score: float | None = None


Callback = Callable[[Report], Any]


@dataclass
class Fitted:
    """What a run did.

    Attributes:
        network: with its final weights.
        steps: how many were done.
        epochs: how many were done.
        losses: the mean of each epoch.
        scores: of each validation.
        best: the place of the best one in scores.
        stopped: `end`, `patience` or `callback`.
    """

    network: nn.Module
    steps: int = 0
    epochs: int = 0
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best: int | None = None
    stopped: str = "end"


def supervised(criterion: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
    """The loss on batches (inputs..., targets): criterion(network(inputs...), targets).

    Args:
        criterion: a function of output and targets, such as `torch.nn.functional.cross_entropy`.

    Returns:
        A function of network and batch, as `fit` takes it.

    >>> supervised(nn.functional.mse_loss)(nn.Identity(), (torch.zeros(2), torch.ones(2)))
    tensor(1.)
    """
    return lambda network, batch: criterion(call(network, tuple(batch[:-1])), batch[-1])


def fit(
    network: nn.Module,
    batches: Any,
    loss: Loss,
    *,
    optimizer: Optimizer | Mapping[str, Optimizer],
    schedule: Schedule = None,
    schedule_every: Literal["step", "epoch"] = "step",
    epochs: int | None = None,
    steps: int | None = None,
    clip: float | None = None,
    validate: Callable[[nn.Module], float] | None = None,
    patience: int | None = None,
    keep: int = 1,
    on_step: Callback | None = None,
    on_epoch: Callback | None = None,
    set_mode: bool = True,
    folder: str | Path | None = None,
    save_every: int | None = None,
    stateful: Sequence[Any] = (),
    accelerate: Any = False,
    device: torch.device | str | None = None,
    seed: int | None = None,
    progress: bool = False,
) -> Fitted:
    """Train a network in place.

    Each step: the loss of a batch, its gradients, clipped to a norm of at most `clip`, one step of the optimizer and of its schedule.
    The same arguments and seed give the same weights; a run that was stopped and goes on from its folder ends with the same weights as
    one that was not. Afterwards every submodule is in the mode in which it was.

    Args:
        network: any module; only what the optimizer holds is changed (and buffers, such as BatchNorm's).
        batches: `Batches`, or what they are made of.
        loss: a function of network and batch, as `supervised(torch.nn.functional.cross_entropy)`. With several optimizers, a generator
            function that yields (name, loss) for each step of one of them: the next loss is computed after the step.
        optimizer: one, over the parameters to train, or several by name.
        schedule: the learning rate over the run: None (constant), `cosine` (half a cosine to 0), `linear` (to 0), a function of (step,
            steps) that gives the factor, or a torch scheduler.
        schedule_every: whether the schedule moves on with each step or each epoch.
        epochs: how many passes over the batches; give this or steps.
        steps: how many steps; passes begin anew as often as needed.
        clip: the largest norm of the gradients of one optimizer's parameters; None: as they are.
        validate: a function of the network that gives a score, lower is better; asked after each epoch, in evaluation mode and without
            gradients. The network ends with the weights of the best epoch, the first of equals.
        patience: the run stops after so many validations in a row without a better score; None: never.
        keep: with validate, the network ends with the mean of the weights of so many best epochs.
        on_step: told a `Report` after each step; where it returns True, the run ends.
        on_epoch: the same after each epoch.
        set_mode: whether the network is put into training mode; else each submodule keeps the mode that it has.
        folder: where the state of the run is kept; a run that was stopped goes on from there, and one that was finished is not repeated.
        save_every: so many steps apart is the state written, besides after each epoch.
        stateful: what the loss depends on besides the network, to be kept in the folder, too: random generators other than the global
            ones and those of the batches, and objects with `state_dict` and `load_state_dict`, such as an `EnsLoss`.
        accelerate: True, a precision (`bf16`, `fp16`) or an Accelerator: steps go through Hugging Face's accelerate.
        device: where network and batches go; None: they stay where they are.
        seed: of dropout and all else that draws from torch's global generator; None: it goes on from where it is.
        progress: whether a line on stderr shows how far the run is and the time left.

    Returns:
        Fitted: the network, losses and scores.

    Raises:
        ParameterError: options out of range or that do not fit each other.
        CompatibilityError: no batches, data that serves one pass where more are needed, or a folder with the state of another run.
        CheckpointError: a state that cannot be read.
        OutputError: one that cannot be written.

    >>> x = torch.linspace(-1, 1, 64)[:, None]
    >>> line = nn.Linear(1, 1)
    >>> done = fit(line, Batches((x, 2 * x), size=16, shuffle=True), supervised(nn.functional.mse_loss), epochs=50, seed=0,
    ...            optimizer=torch.optim.SGD(line.parameters(), lr=0.3))
    >>> round(line.weight.item(), 2), done.steps
    (2.0, 200)
    """
    _check(epochs=epochs, steps=steps, patience=patience, keep=keep, save_every=save_every, validate=validate)
    engine = Accelerated(accelerate) if accelerate else Engine(device)
    with ExitStack() as around:
        around.enter_context(seeded(seed))
        around.enter_context(modes_kept(network))
        stepper = Stepper(network, loss, optimizer, engine, clip)
        around.callback(engine.finish, stepper.model)
        run = _Run(stepper, as_batches(batches), epochs, steps, Best(validate, keep), patience, on_step, on_epoch)
        stepper.follow(schedule, schedule_every, steps=run.total, epochs=epochs)
        if folder is not None:
            run.keep_in(Path(folder), save_every, stateful, seed)
        if set_mode:
            network.train()
        run.go(around.enter_context(progress_line(progress, run.total, run.step)))
    return run.fitted()


def _check(**options: Any) -> None:
    for name in ("patience", "keep", "save_every"):
        if options[name] is not None and options[name] < 1:
            raise ParameterError(f"fit: {name} must be at least 1, got {options[name]}")
    given = [value for value in (options["epochs"], options["steps"]) if value is not None]
    if len(given) != 1 or given[0] < 0:
        raise ParameterError(f"fit: expected either epochs or steps, 0 or more, got epochs={options['epochs']}, steps={options['steps']}")
    if options["patience"] is not None and options["validate"] is None:
        raise ParameterError("fit: patience needs a score to wait for; give validate")


class _Run:
    """A run and where it is: `step` steps are done, and of epoch `epoch` (from 0) `at` batches."""

    def __init__(
        self,
        stepper: Stepper,
        batches: Batches,
        epochs: int | None,
        steps: int | None,
        best: Best,
        patience: int | None,
        on_step: Callback | None,
        on_epoch: Callback | None,
    ) -> None:
        self.stepper, self.batches, self.epochs, self.steps = stepper, batches, epochs, steps
        self.best, self.patience, self.on_step, self.on_epoch = best, patience, on_step, on_epoch
        self.step = self.epoch = self.at = 0
        self.lost: Any = 0.0
        self.losses: list[float] = []
        self.stopped = ""
        self.folder: Path | None = None
        self.save_every: int | None = None
        self.same: dict[str, Any] = {}
        self.generators: list[Generator] = []
        self.others: list[Any] = []
        self.began: dict[str, Any] = {}
        """The random numbers when the epoch began: a run that goes on inside an epoch draws its order again."""

    @property
    def total(self) -> int | None:
        """Steps of the whole run, None where they are not known."""
        if self.epochs is None or self.batches.count is None:
            return self.steps
        return self.epochs * self.batches.count

    @property
    def over(self) -> bool:
        if self.stopped:
            return True
        return self.step >= (self.steps or 0) if self.epochs is None else self.epoch >= self.epochs

    def go(self, show: Callable[[int, str], None]) -> None:
        """Epoch after epoch, to the end."""
        if self.stopped:  # a run that an earlier call finished
            return
        while not self.over:
            self._pass(show)
            self._end_of_epoch()
            if not self.over:
                self._save()
        self.best.restore(self.stepper.network)
        self.stopped = self.stopped or "end"
        self._save()

    def _pass(self, show: Callable[[int, str], None]) -> None:
        for batch in self._batches():
            loss = self.stepper.step(batch)
            self.step, self.at, self.lost = self.step + 1, self.at + 1, self.lost + loss
            show(self.step, f"epoch {self.epoch + 1}")
            self._tell(self.on_step, loss)
            if self.stopped or self.step == self.steps:
                return
            if self.save_every and not self.step % self.save_every:
                self._save()
        if not self.at:
            raise CompatibilityError("fit: a pass over the batches has none, expected one at least")

    def _batches(self) -> Iterator[Any]:
        """The batches of this epoch that are still to do."""
        now = random_state(self.generators) if self.folder else {}
        if not self.at:
            self.began, self.lost = now, 0.0
            return self.batches.epoch(self.epoch)
        restore_random_state(self.began, self.generators)
        rest = self.batches.epoch(self.epoch, self.at)
        restore_random_state(now, self.generators)
        return rest

    def _end_of_epoch(self) -> None:
        loss = self.lost / self.at
        self.losses.append(float(loss))
        self.stepper.epoch_over()
        score = self.best.look(self.stepper.network)
        self.epoch, self.at = self.epoch + 1, 0
        self._tell(self.on_epoch, loss, score)
        if self.patience is not None and self.best.waited >= self.patience:
            self.stopped = "patience"

    def _tell(self, callback: Callback | None, loss: Any, score: float | None = None) -> None:
        if callback is not None:
            epoch = self.epoch + (score is None and callback is self.on_step)
            if callback(Report(self.stepper.network, epoch, self.step, self.total, loss, score)) is True:
                self.stopped = "callback"

    def keep_in(self, folder: Path, every: int | None, stateful: Sequence[Any], seed: int | None) -> None:
        """Keep the state in a folder, and go on from the one that is there."""
        self.folder, self.save_every = folder, every
        # a generator that both the order and the loss draw from is noted once
        found = {id(each): each for each in (*self.batches.generators, *stateful)}.values()
        self.generators = [each for each in found if isinstance(each, Generator)]
        self.others = [each for each in found if not isinstance(each, Generator)]
        self.same = {
            "epochs": self.epochs,
            "steps": self.steps,
            "seed": seed,
            "batches a pass": self.batches.count,
            "data": self.batches.hash(),
            "optimizers": {name: type(each).__name__ for name, each in self.stepper.optimizers.items()},
            "weights": {name: [*value.shape] for name, value in self.stepper.network.state_dict().items()},
        }
        state = read_state(folder)
        if state is None:
            return
        check_same_run(folder, state["same"], self.same)
        self.stepper.load(state)
        self.best.load(state["best"])
        self.step, self.epoch, self.at, self.lost = state["step"], state["epoch"], state["at"], state["lost"]
        self.losses, self.stopped, self.began = state["losses"], state["stopped"], state["began"]
        restore_random_state(state["random"], self.generators)
        for each, noted in zip(self.others, state["others"], strict=True):
            each.load_state_dict(noted)

    def _save(self) -> None:
        if self.folder is None:
            return
        where = {"step": self.step, "epoch": self.epoch, "at": self.at, "lost": self.lost, "losses": self.losses, "stopped": self.stopped}
        chance = {"began": self.began, "random": random_state(self.generators), "others": [each.state_dict() for each in self.others]}
        write_state(self.folder, {"same": self.same, **where, **chance, "best": self.best.state(), **self.stepper.state()})

    def fitted(self) -> Fitted:
        best = self.best.kept[0][1] if self.best.kept else None
        return Fitted(self.stepper.network, self.step, self.epoch, self.losses, self.best.scores, best, self.stopped)
