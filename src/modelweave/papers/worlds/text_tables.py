"""Made tables with text: what a row says depends on the order of its words, on numbers, and on both together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

TOKENS, WORDS, LEVELS = 10, 40, 8
NEGATOR = "not"
NEGATED = 0.06
"""Chance of a token to be the negator: almost half of the texts have one."""
STEP = 0.7
"""Size of the numbers' and the shops' effects, at which trees and the network are about as good as each other."""


def make_rows(seed: int, rows: int) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    """Columns x0, x1, x2 (uniform on -1 to 1), shop (8 levels) and said (10 words of 40), and a flag to predict.

    text = sum of the words' values, each with its sign turned once for every negator before it. logit = 1.6 (1.2 text / sd + steps of the
    numbers and the shop + 0.8 sign(text) [x0 > 0]). Values of words and shops are drawn from the seed.
    """
    import pandas as pd

    random = np.random.default_rng(seed)
    value = random.standard_normal(WORDS)
    value[0] = 0.0
    shop_effect = random.standard_normal(LEVELS)
    shop_effect = (shop_effect - shop_effect.mean()) / shop_effect.std()
    x = random.uniform(-1, 1, (rows, 3))
    shop = random.integers(0, LEVELS, rows)
    token = np.where(random.random((rows, TOKENS)) < NEGATED, 0, random.integers(1, WORDS, (rows, TOKENS)))
    before = np.cumsum(token == 0, axis=1)
    text = (value[token] * np.where(before % 2, -1.0, 1.0)).sum(axis=1)
    steps = STEP * (np.where(x[:, 0] > 0.3, 1, -1) + np.where(x[:, 1] > -0.2, 1, -1) + shop_effect[shop] * np.sign(x[:, 2]))
    logit = 1.6 * (1.2 * text / text.std() + steps + 0.8 * np.sign(text) * (x[:, 0] > 0))
    names = np.array([NEGATOR, *(f"word{_letters(k)}" for k in range(1, WORDS))], dtype=object)
    said = [" ".join(line) for line in names[token].tolist()]
    table: Any = pd.DataFrame({"x0": x[:, 0], "x1": x[:, 1], "x2": x[:, 2]})
    table["shop"] = np.array([f"shop {_letters(k)}" for k in range(LEVELS)], dtype=object)[shop]
    table["said"] = said
    return table, (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.intp)


def _letters(k: int) -> str:
    return chr(97 + k // 26) + chr(97 + k % 26)
