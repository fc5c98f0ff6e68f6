"""A vision transformer of 0.1 M parameters in the Hugging Face format: make, train, ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...extras import extra
from ...networks import Batches, fit, seeded
from ..worlds.views import LabelledImages


def new_network(*, seed: int) -> Any:
    """A transformers.ViTForImageClassification with random weights.

    Images of 8 x 8 in patches of 2 x 2, 3 layers of width 64, 10 classes.
    """
    transformers = extra("transformers", "llm")
    sizes = {"image_size": 8, "patch_size": 2, "num_channels": 1, "num_labels": 10}
    sizes |= {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}
    # the usual range of 0.02 suits widths of 768; at 64 it starves the attention and training stalls for many epochs
    config = transformers.ViTConfig(**sizes, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.1)
    with seeded(seed):
        return transformers.ViTForImageClassification(config)


def train(network: Any, data: LabelledImages, *, epochs: int, rate: float, seed: int) -> None:
    """Train in place with AdamW, the rate falling to zero along a half cosine.

    The seed decides the order of the images.
    """
    batches = Batches((data.images, data.labels), size=32, shuffle=True, seed=seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.0)
    fit(network, batches, _loss, optimizer=optimizer, schedule="cosine", epochs=epochs)
    network.eval()


def _loss(network: Any, batch: tuple[Tensor, Tensor]) -> Tensor:
    images, labels = batch
    return torch.nn.functional.cross_entropy(network(pixel_values=images).logits, labels)


def probabilities(network: Any, images: Tensor) -> Tensor:
    """The network's class probabilities, (n, 10) float32."""
    with torch.inference_mode():
        answer: Tensor = network(pixel_values=images).logits.softmax(-1)
    return answer


def save_network(network: Any, folder: Path) -> None:
    """Write the network as a Hugging Face checkpoint."""
    with _without_bars():
        network.save_pretrained(folder)


def load_network(folder: Path) -> Any:
    """The checkpoint in that folder as transformers loads it, ready to be asked."""
    from transformers import ViTForImageClassification

    with _without_bars():
        network: Any = ViTForImageClassification.from_pretrained(folder)
    return network.eval()


@contextmanager
def _without_bars() -> Iterator[None]:
    """transformers draws a bar for every file; the demo has its own lines."""
    from transformers import utils

    logging: Any = utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
