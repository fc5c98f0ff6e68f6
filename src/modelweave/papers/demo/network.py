"""A vision transformer of 0.1 M parameters in the Hugging Face format: make, train, ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...extras import extra
from .tasks import Split

if TYPE_CHECKING:
    from torch import Tensor


def new_network(*, seed: int) -> Any:
    """A transformers.ViTForImageClassification with random weights.

    Images of 8 x 8 in patches of 2 x 2, 3 layers of width 64, 10 classes.
    """
    import torch

    transformers = extra("transformers", "llm")
    options: dict[str, Any] = {
        "image_size": 8,
        "patch_size": 2,
        "num_channels": 1,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_labels": 10,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        # the usual 0.02 suits widths of 768; at 64 it starves the attention and training stalls for many epochs
        "initializer_range": 0.1,
    }
    config = transformers.ViTConfig(**options)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return transformers.ViTForImageClassification(config)


def train(network: Any, data: Split, *, epochs: int, rate: float, seed: int, batch: int = 32) -> None:
    """Train in place with AdamW, the rate falling to zero along a half cosine.

    The seed decides the order of the images.
    """
    import torch

    network.train()
    chance = torch.Generator().manual_seed(seed)
    count = len(data.images)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.0)
    steps = epochs * -(-count // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        order = torch.randperm(count, generator=chance)
        for start in range(0, count, batch):
            rows = order[start : start + batch]
            logits = network(pixel_values=data.images[rows]).logits
            loss: Any = torch.nn.functional.cross_entropy(logits, data.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()


def probabilities(network: Any, images: Tensor) -> Tensor:
    """The network's class probabilities, (n, 10) float32."""
    import torch

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
