"""The demo from the first image to the table."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import OutputError
from ...files import write_json, write_text
from ...text.tables import as_markdown
from ..worlds.views import VIEWS, LabelledImages, all_views, as_task, train_and_test, view
from .network import load_network, new_network, probabilities, save_network, train
from .plot import plot_scores, require_matplotlib
from .recipes import merge_by_command, write_recipes
from .score import DemoResult, Group, score_rows, table

PARTS = ("base", "specialists", "recipes", "merged", "table.md", "accuracy.png")
RESULT = "demo.json"


@dataclass(frozen=True)
class Size:
    """How much is trained: images for the base, images for each specialist, epochs of either, test images."""

    base_images: int = 100
    base_epochs: int = 40
    images: int = 1000
    epochs: int = 6
    test: int = 797


QUICK = Size(base_images=40, base_epochs=4, images=160, epochs=1, test=200)


def run_demo(
    folder: str | Path,
    *,
    quick: bool = False,
    seed: int = 0,
    say: Callable[[str], None] | None = None,
    merge: Callable[[Path, Path], None] = merge_by_command,
) -> DemoResult:
    """Train a base and four specialists, merge them by recipe, and score everything on all four tasks.

    A small vision transformer learns a little of every view of the digits (`base`), then four copies become specialists
    of one view each. They are written as checkpoints, merged by `modelweave merge`, loaded with `from_pretrained` and
    compared with the ensemble that averages the specialists' probabilities.

    folder: receives base/, specialists/, recipes/, merged/, table.md, accuracy.png and demo.json; an earlier demo there
    is replaced, anything else is an OutputError. quick: seconds instead of a minute, and scores that mean nothing.
    say: called with one line before each step. merge: called with each recipe and its output folder.
    """
    begin = time.monotonic()
    folder, size, tell = Path(folder), QUICK if quick else Size(), say or (lambda line: None)
    require_matplotlib()
    _clear(folder)
    training, test = train_and_test(size.images, size.test, seed=seed)
    _train_members(folder, training, size, seed=seed, tell=tell)
    merges = _merge_all(folder, merge, tell)
    tell("scoring every model on every task")
    right = _score_all(folder, test, merges)
    rows, best = score_rows(right, {name: _group(name, merges) for name in right}, members=len(VIEWS), seed=seed)
    plot = folder / "accuracy.png"
    plot_scores(rows, VIEWS, best_single=best, file=plot)
    result = DemoResult(folder, VIEWS, rows, best, len(test.labels), plot, time.monotonic() - begin)
    write_text(folder / "table.md", as_markdown(*table(result)))
    write_json(folder / RESULT, result.as_dict())
    return result


def _clear(folder: Path) -> None:
    """Make room: an empty folder, or one that an earlier demo filled."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: the demo needs a folder, this is a file; give another name")
    folder.mkdir(parents=True, exist_ok=True)
    found = {entry.name for entry in folder.iterdir()}
    strangers = sorted(found - {*PARTS, RESULT})
    if strangers or (found and not {"base", "recipes"} & found):
        raise OutputError(f"{folder}: expected an empty folder, found {', '.join(sorted(found)[:5])}; give a new one")
    for name in found:
        entry = folder / name
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _train_members(folder: Path, training: LabelledImages, size: Size, *, seed: int, tell: Callable[[str], None]) -> None:
    tell(f"training the base on {size.base_images} digits in {len(VIEWS)} views")
    network = new_network(seed=seed)
    few = LabelledImages(training.images[: size.base_images], training.labels[: size.base_images])
    train(network, all_views(few), epochs=size.base_epochs, rate=2e-3, seed=seed)
    save_network(network, folder / "base")
    for number, name in enumerate(VIEWS, start=1):
        tell(f"fine-tuning specialist {number} of {len(VIEWS)}: {name}")
        network = load_network(folder / "base")
        train(network, as_task(training, name), epochs=size.epochs, rate=3e-4, seed=seed + number)
        save_network(network, folder / "specialists" / name)


def _merge_all(folder: Path, merge: Callable[[Path, Path], None], tell: Callable[[str], None]) -> tuple[str, ...]:
    files = write_recipes(folder / "recipes", VIEWS)
    for file in files:
        tell(f"modelweave merge recipes/{file.name} merged/{file.stem}")
        merge(file, folder / "merged" / file.stem)
    return tuple(file.stem for file in files)


def _score_all(folder: Path, test: LabelledImages, merges: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Model to (tasks, images) of right answers: base, specialists, their ensemble, merges."""

    def ask(path: Path) -> Any:
        network = load_network(path)
        return torch.stack([probabilities(network, view(test.images, name)) for name in VIEWS])

    answers = {"base": ask(folder / "base")}
    specialists = {name: ask(folder / "specialists" / name) for name in VIEWS}
    answers |= specialists
    answers["ensemble"] = torch.stack(list(specialists.values())).mean(0)
    answers |= {name: ask(folder / "merged" / name) for name in merges}
    return {name: (chances.argmax(-1) == test.labels).numpy() for name, chances in answers.items()}


def _group(name: str, merges: Sequence[str]) -> Group:
    if name in merges:
        return "merge"
    if name in VIEWS:
        return "specialist"
    return "ensemble" if name == "ensemble" else "base"
