"""A learned chooser: from examples of pools and their best subsets to the subset of a new pool."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import CheckpointError, CompatibilityError, ParameterError, unknown
from ...extras import extra
from ...files import write_bytes, write_json
from .settings import MODES, Settings

Array = NDArray[Any]
FORMAT = "modelweave.chooser/1"


class SubsetChooser:
    """Learns from (pool, best subset) pairs and marks the members of a new pool. Equivariant: members may come in any order and number.

    Source: Xie et al. 2024, arXiv 2402.03139 (INSET), on Ou et al. 2022, arXiv 2203.01693 (EquiVSet, background="none").

    Args:
        settings: by keyword, as in `Settings`; the defaults are those of the released code, and toy data need far less (width=32,
            hidden=64, samples=3, rank=3, rate=2e-3, epochs=25). Among them `mode`: `copula` and `ind` start from a recognition network,
            whose draws vary together or alone; `diffMF` starts from one half.

    Raises:
        ParameterError: for a setting that is not known, or a word that is none of its words.

    >>> pools = np.random.default_rng(0).random((40, 4, 1))
    >>> chooser = SubsetChooser(width=16, hidden=16, samples=3, rank=3, rate=1e-2, epochs=20)
    >>> chooser.fit(pools, pools[..., 0] > 0.5).choose([[0.9], [0.1], [0.8]]).tolist()
    [0, 2]
    """

    def __init__(self, **settings: Any) -> None:
        known = asdict(Settings())
        for word in settings:
            if word not in known:
                raise ParameterError("SubsetChooser: " + unknown("setting", word, known))
        self.settings = Settings(**settings)
        from .subset_network import BACKGROUNDS

        for kind, word, words in (("background", self.settings.background, BACKGROUNDS), ("mode", self.settings.mode, MODES)):
            if word not in words:
                raise ParameterError("SubsetChooser: " + unknown(kind, str(word), words))
        self.network: Any = None
        self.history: list[float] = []
        self.centre, self.spread = np.zeros(1, np.float32), np.ones(1, np.float32)

    def fit(self, pools: ArrayLike, subsets: ArrayLike, *, validation: tuple[ArrayLike, ArrayLike] | None = None) -> SubsetChooser:
        """Train; features are centred and scaled by those of the training pools.

        Args:
            pools: (pools, v, features).
            subsets: (pools, v) of 0 and 1.
            validation: pools and subsets; training stops when their mean Jaccard index no longer rises, and the best network is kept.

        Raises:
            CompatibilityError: for shapes that do not fit.
        """
        from .train import train

        elements, marks = _checked(pools, subsets)
        self.centre, self.spread = elements.mean(axis=(0, 1)), np.maximum(elements.std(axis=(0, 1)), 1e-6)
        checked = None if validation is None else _checked(*validation)
        if checked is not None:
            checked = self._scaled(checked[0]), checked[1]
        self.network, self.history = train(self.settings, self._scaled(elements), marks, checked)
        return self

    def marginals(self, pool: ArrayLike) -> Array:
        """(v,) or (pools, v): the chance of each member to belong, for pools (v, features) or (pools, v, features)."""
        from .train import marginals

        if self.network is None:
            raise CompatibilityError("SubsetChooser: not fitted yet; call fit or load")
        given = np.asarray(pool, np.float32)
        alone = given.ndim == 2
        elements, _ = _checked(given[None] if alone else given, None)
        width = self.network[0].phi.in_features
        if elements.shape[2] != width:
            raise CompatibilityError(f"SubsetChooser: expected {width} features a member, got {elements.shape[2]}")
        q = marginals(self.settings, self.network, self._scaled(elements))
        return np.asarray(q[0] if alone else q)

    def choose(self, pool: ArrayLike, size: int | None = None) -> Array:
        """Places of the chosen members, in rising order.

        Args:
            pool: (v, features).
            size: the `size` most likely ones; None: those with a chance above one half, at least one.

        Raises:
            ParameterError: for a size that is not from 1 to v.
            CompatibilityError: for several pools at once, or one that does not fit.
        """
        q = self.marginals(pool)
        if q.ndim != 1:
            raise CompatibilityError(f"SubsetChooser: expected one pool (v, features), got {q.shape[0]}")
        if size is not None and not 1 <= size <= len(q):
            raise ParameterError(f"size: expected a number from 1 to {len(q)}, got {size}")
        count = size or max(1, int((q > 0.5).sum()))
        return np.sort(np.argsort(-q, kind="stable")[:count])

    def _scaled(self, elements: Array) -> Array:
        return (elements - self.centre) / self.spread

    def save(self, folder: str | Path) -> None:
        """Write settings as JSON and weights as safetensors into a folder."""
        if self.network is None:
            raise CompatibilityError("SubsetChooser: not fitted yet; call fit first")
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        write_bytes(place / "chooser.safetensors", extra("safetensors.torch", "llm").save(self.network.state_dict()))
        scale = {"centre": self.centre.tolist(), "spread": self.spread.tolist()}
        data = {"format": FORMAT, "features": self.network[0].phi.in_features, "settings": asdict(self.settings), **scale}
        write_json(place / "chooser.json", data)

    @classmethod
    def load(cls, folder: str | Path) -> SubsetChooser:
        """What `save` wrote."""
        from .train import build

        try:
            data = json.loads((Path(folder) / "chooser.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{folder}: expected a folder that SubsetChooser.save wrote ({error})") from None
        if data.get("format") != FORMAT:
            raise CheckpointError(f"{folder}: expected the format {FORMAT}, got {data.get('format')!r}")
        found = cls(**data["settings"])
        found.centre, found.spread = (np.asarray(data[key], np.float32) for key in ("centre", "spread"))
        found.network = build(found.settings, data["features"])
        found.network.load_state_dict(extra("safetensors.torch", "llm").load_file(Path(folder) / "chooser.safetensors"))
        return found


def _checked(pools: ArrayLike, subsets: ArrayLike | None) -> tuple[Array, Array]:
    elements = np.asarray(pools, np.float32)
    if elements.ndim != 3 or not elements.size or not np.isfinite(elements).all():
        raise CompatibilityError(f"pools: expected finite numbers (pools, members, features), got shape {elements.shape}")
    marks = np.zeros(elements.shape[:2], np.float32) if subsets is None else np.asarray(subsets, np.float32)
    if marks.shape != elements.shape[:2] or not np.isin(marks, (0, 1)).all():
        raise CompatibilityError(f"subsets: expected 0 and 1 for each of {elements.shape[:2]} members, got shape {marks.shape}")
    return elements, marks
