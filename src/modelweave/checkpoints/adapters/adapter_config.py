"""The settings of a LoRA adapter, as PEFT writes them, and which of them cannot be merged."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import CheckpointError

_CHANGES_BASE = ("pissa", "olora", "corda", "lora_ga", "loftq")
_OTHER_KINDS = {
    "alora_invocation_tokens": "is active only after certain tokens",
    "arrow_config": "routes between adapters",
    "kasa_config": "is a KaSA adapter",
    "monteclora_config": "is a MonteCLoRA adapter",
    "layer_replication": "repeats layers of the base",
    "target_parameters": "targets parameters of fused experts",
    "trainable_token_indices": "trains single tokens",
    "megatron_config": "is sharded by Megatron",
}


@dataclass(frozen=True)
class AdapterConfig:
    """alpha / rank, or alpha / sqrt(rank) with rslora, scales the product of the factors.

    saved: modules that are trained whole instead. keeps_ties: also these, and factors of tied modules, are shared.
    """

    rank: int
    alpha: float
    rslora: bool = False
    transposed: bool = False
    ranks: Mapping[str, Any] = field(default_factory=dict)
    alphas: Mapping[str, Any] = field(default_factory=dict)
    saved: tuple[str, ...] = ()
    keeps_ties: bool = False

    def trains_whole(self, name: str) -> bool:
        """Whether a tensor belongs to a module that was trained as a whole, apart from what it may have been tied to.

        >>> AdapterConfig(8, 16, saved=("embed_tokens",)).trains_whole("model.embed_tokens.weight")
        True
        """
        module = name.rpartition(".")[0]
        return not self.keeps_ties and any(f".{module}".endswith(f".{saved}") for saved in self.saved)

    def rank_of(self, module: str) -> int:
        """The rank of a module; keys of rank_pattern are regular expressions for the end of its name."""
        return int(_by_pattern(self.ranks, module, self.rank))

    def scale_of(self, module: str) -> float:
        """alpha / rank, or alpha / sqrt(rank) with rslora.

        >>> AdapterConfig(8, 16, ranks={"q_proj": 4}).scale_of("model.layers.0.self_attn.q_proj")
        4.0
        """
        rank = self.rank_of(module)
        return float(_by_pattern(self.alphas, module, self.alpha)) / (math.sqrt(rank) if self.rslora else rank)


def read_adapter_config(config: Mapping[str, Any], where: str) -> AdapterConfig:
    """The settings from adapter_config.json. Raises CheckpointError for kinds of adapter that are no sum on the weights."""
    kind = config.get("peft_type")
    if kind != "LORA":
        raise CheckpointError(f"{where}: is an adapter of type {str(kind)[:40]!r}, expected LORA; merge it with PEFT first")
    for key, value in config.items():
        other = key.startswith("use_") and key != "use_rslora"
        if value and (other or key in _OTHER_KINDS):
            why = _OTHER_KINDS.get(key, f"has {key} set")
            raise CheckpointError(f"{where}: {why}, expected plain LORA; merge it with PEFT's merge_and_unload first")
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGES_BASE):
        raise CheckpointError(
            f"{where}: was started with {start!r}, which changes the base too; save it with PEFT's path_initial_model_for_weight_conversion"
        )
    saved = config.get("modules_to_save") or []
    if not isinstance(saved, list) or not all(isinstance(name, str) for name in saved):
        raise CheckpointError(f"{where}: modules_to_save must be a list of names, got {str(saved)[:40]!r}; correct adapter_config.json")
    ranks, alphas = config.get("rank_pattern") or {}, config.get("alpha_pattern") or {}
    for rank in (config.get("r", 8), *_values(ranks, where)):
        if type(rank) is not int or not 1 <= rank < 1 << 40:
            raise CheckpointError(
                f"{where}: r and rank_pattern must be whole numbers from 1 on, got {str(rank)[:40]!r}; correct adapter_config.json"
            )
    for alpha in (config.get("lora_alpha", 8), *_values(alphas, where)):
        if type(alpha) not in (int, float) or not abs(alpha) <= 1e12:
            raise CheckpointError(
                f"{where}: lora_alpha and alpha_pattern must be numbers, got {str(alpha)[:40]!r}; correct adapter_config.json"
            )
    return AdapterConfig(
        rank=config.get("r", 8),
        alpha=config.get("lora_alpha", 8),
        rslora=config.get("use_rslora") is True,
        transposed=config.get("fan_in_fan_out") is True,
        ranks=ranks,
        alphas=alphas,
        saved=tuple(saved),
        keeps_ties=config.get("ensure_weight_tying") is True,
    )


def _values(pattern: Any, where: str) -> list[Any]:
    if not isinstance(pattern, Mapping):
        raise CheckpointError(f"{where}: rank_pattern and alpha_pattern must be mappings; correct adapter_config.json")
    for key in pattern:
        if _endless(key):
            raise CheckpointError(f"{where}: {key[:80]!r} could be matched for ever; write the modules' names out in adapter_config.json")
        try:
            re.compile(key)
        except (re.error, RecursionError, OverflowError) as error:
            raise CheckpointError(f"{where}: {key[:80]!r} is no regular expression ({error}); correct adapter_config.json") from error
    return list(pattern.values())


def _endless(pattern: str) -> bool:
    """Whether a regular expression repeats what already repeats, or repeats often, so that matching may take exponential time.

    >>> _endless(r".*layers\\.[0-9]+\\.q_proj"), _endless("(.*.*)*!")
    (False, True)
    """
    repeats = re.findall(r"(?<!\\)[*+{]", pattern)
    return len(pattern) > 500 or len(repeats) > 3 or bool(re.search(r"(?<!\\)[*+?}].*\)[*+{]", pattern))


def _by_pattern(pattern: Mapping[str, Any], module: str, default: Any) -> Any:
    for key, value in pattern.items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return default
