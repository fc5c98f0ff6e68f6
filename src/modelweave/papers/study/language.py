"""The suite of a real language model: 135 M parameters, fine-tuned on Python source, on English prose about it, on C++ headers.

All text comes with Python and with torch. What is costly is made once and stays in a folder: the windows of tokens, the base, the
fine-tunes, and the log-perplexities that scores are measured from.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...errors import CompatibilityError
from ...extras import extra
from ...files import whole, write_json
from ..worlds.domains import DOMAINS, domain_texts, token_windows
from ..worlds.smollm import fine_tune, load_smollm, log_perplexity
from .problem import Problem

Windows = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class Sizes:
    """steps, batch: of a fine-tune. length: tokens in a window. validation, test: windows a domain."""

    steps: int = 30
    batch: int = 4
    length: int = 128
    validation: int = 5
    test: int = 12

    @property
    def words(self) -> str:
        """What the suite is, for the page."""
        return (
            f"SmolLM2-135M-Instruct in float32, fine-tuned on three domains for {self.steps} steps of {self.batch} x {self.length} tokens "
            "each (AdamW, rate 2e-5): the source of Python's standard library without comments and docstrings, its docstrings alone, and "
            f"the C++ headers that come with torch. Whole files are held out; {self.validation} windows of {self.length} tokens a domain "
            f"validate, {self.test} test."
        )


@dataclass
class Evaluator:
    """Scores of states and folders; a folder is read at each call, so that memory holds one model (an ensemble's: all of them)."""

    folder: Path
    windows: Windows
    read: Callable[[Path], Any]
    losses: Mapping[str, Mapping[str, Sequence[float]]]
    """Of each part: the base's mean log-perplexity a domain, and that of the domain's own fine-tune."""
    _network: Any = field(default=None, repr=False)

    def __call__(self, models: Sequence[Any], part: Any) -> NDArray[np.float64]:
        """How far each window's log-perplexity went from the base to the own fine-tune, (domains, windows).

        A window's step is divided by the domain's mean step, so that the mean over windows is the domain's score.
        """
        with_weights = [self._with(model) if isinstance(model, Mapping) else self.read(Path(model)) for model in models]
        found = np.stack([log_perplexity(with_weights, self.windows[d][part]).double().numpy() for d in self.windows])
        return relative(found, self.losses[part]["windows"], self.losses[part]["base"], self.losses[part]["own"])

    def _with(self, state: Mapping[str, Any]) -> Any:
        if self._network is None:
            self._network = self.read(self.folder / "base")
        missing, unexpected = self._network.load_state_dict(dict(state), strict=False)
        tied = set(getattr(self._network, "all_tied_weights_keys", None) or {})
        if unexpected or set(missing) - tied:
            raise CompatibilityError(f"the merged weights do not fill the language model: missing {missing}, unexpected {unexpected}")
        return self._network


def relative(found: Any, base_windows: Any, base: Any, own: Any) -> NDArray[np.float64]:
    """(base - found) of each window over the domain's mean step from base to own; arrays (domains, windows) and (domains,).

    >>> relative([[2.0, 3.0]], [[3.0, 3.0]], [3.0], [2.5]).tolist()
    [[2.0, 0.0]]
    """
    step = np.asarray(base) - np.asarray(own)
    if (step <= 0).any():
        raise CompatibilityError("a fine-tune of the language model is no better than the base on its own domain; give it more steps")
    scores: NDArray[np.float64] = (np.asarray(base_windows) - np.asarray(found)) / step[:, None]
    return scores


def make_language(seed: int, cache: Path, *, sizes: Sizes | None = None, load: Callable[[], tuple[Any, Any]] = load_smollm) -> Problem:
    """Fine-tune, or read what an earlier run left; needs 2.3 GB of disk and, the first time, about 8 minutes on two cores."""
    extra("transformers.utils.logging", "llm").disable_progress_bar()
    sizes = sizes or Sizes()
    settings = json.dumps([2, seed, vars(sizes), DOMAINS])
    folder = cache / f"lm-{seed}-{zlib.crc32(settings.encode()):08x}"
    folder.mkdir(parents=True, exist_ok=True)
    _make_models(folder, sizes, seed, load)
    windows = _read_windows(folder)
    file = folder / "losses.json"
    if not file.is_file():
        write_json(file, _losses(folder, windows))
    score = Evaluator(folder, windows, _read, json.loads(file.read_text()))
    return Problem(folder / "base", [folder / _slug(d) for d in DOMAINS], DOMAINS, score)


def _make_models(folder: Path, sizes: Sizes, seed: int, load: Callable[[], tuple[Any, Any]]) -> None:
    if not (folder / "base").is_dir() or not (folder / "windows.safetensors").is_file():
        model, tokenizer = load()
        with whole(folder / "windows.safetensors") as place:
            _save_windows(place, tokenizer, sizes)
        with whole(folder / "base") as place:
            model.save_pretrained(place)
    windows = _read_windows(folder)
    for domain in DOMAINS:
        if not (folder / _slug(domain)).is_dir():
            model = _read(folder / "base")
            fine_tune(model, windows[domain]["train"], steps=sizes.steps, batch=sizes.batch, seed=seed)
            with whole(folder / _slug(domain)) as place:
                model.save_pretrained(place)


def _losses(folder: Path, windows: Windows) -> dict[str, Any]:
    """What scores are measured from: log-perplexities of the base, and of each fine-tune on its own domain."""
    found: dict[str, Any] = {}
    base = _read(folder / "base")
    for part in ("validation", "test"):
        rows = [log_perplexity([base], windows[d][part]).double() for d in DOMAINS]
        found[part] = {"windows": [row.tolist() for row in rows], "base": [float(row.mean()) for row in rows], "own": []}
    for domain in DOMAINS:
        own = _read(folder / _slug(domain))
        for part in ("validation", "test"):
            found[part]["own"].append(float(log_perplexity([own], windows[domain][part]).double().mean()))
    return found


def _save_windows(place: Path, tokenizer: Any, sizes: Sizes) -> None:
    tensors = {}
    for domain, splits in domain_texts().items():
        held_out = token_windows(tokenizer, splits["held-out"], sizes.length, characters=400_000)
        order = torch.randperm(len(held_out), generator=torch.Generator().manual_seed(0))
        if len(order) < sizes.validation + sizes.test:
            raise CompatibilityError(f"{domain}: this Python holds {len(order)} windows to test on; expected more")
        chosen = held_out[order[: sizes.validation + sizes.test]]
        tensors[f"{domain}/validation"], tensors[f"{domain}/test"] = chosen[: sizes.validation].clone(), chosen[sizes.validation :].clone()
        tensors[f"{domain}/train"] = token_windows(tokenizer, splits["train"], sizes.length, characters=800_000)
    save_file(tensors, place)


def _read_windows(folder: Path) -> Windows:
    tensors = load_file(folder / "windows.safetensors")
    return {d: {part: tensors[f"{d}/{part}"] for part in ("train", "validation", "test")} for d in DOMAINS}


def _read(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


def _slug(domain: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in domain.lower())
