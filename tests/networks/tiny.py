"""Tiny networks of transformers with random weights."""

from __future__ import annotations

from typing import Any

import torch

from modelweave.networks import seeded

SIZES: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
TOKENS = torch.randint(4, 60, (3, 7), generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1] * 7, [1] * 5 + [0] * 2, [0] * 3 + [1] * 4])


def tiny(word: str, *, seed: int = 0, **options: Any) -> Any:
    """The network of that class, such as `LlamaForCausalLM`, in evaluation mode."""
    import transformers

    family = next(f for f in ("Llama", "Qwen3", "Mistral", "Gemma2", "Bert", "Roberta", "GPT2", "ViT", "DeiT") if word.startswith(f))
    if family == "GPT2":
        config: dict[str, Any] = {"vocab_size": 64, "n_embd": 32, "n_layer": 3, "n_head": 4, "bos_token_id": 1, "eos_token_id": 2}
    elif family in ("ViT", "DeiT"):
        config = {**SIZES, "image_size": 8, "patch_size": 2, "num_channels": 1, "num_labels": 5}
    else:
        config = {**SIZES, "vocab_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
        if family in ("Llama", "Qwen3", "Mistral", "Gemma2"):
            config |= {"num_key_value_heads": 2, "head_dim": 8}
    made = getattr(transformers, f"{family}Config")(**{**config, **options})
    with seeded(seed):
        return getattr(transformers, word)(made).eval()
