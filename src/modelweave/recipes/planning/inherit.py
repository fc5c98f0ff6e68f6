"""What the result inherits beside the weights: config, side files, licence; and the warnings that inputs which differ deserve."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from ...checkpoints.tensors import Checkpoint
from ...errors import CompatibilityError, RecipeError
from ...text.yaml_text import read_yaml
from ..language.document import Document
from .layer_config import kinds_by_position, layers_key, sized_by_depth, with_layers, without_further
from .outputs import Territory
from .views import View

_TELLING = (
    "model_type", "architectures", "hidden_act", "hidden_activation", "activation_function", "num_attention_heads", "n_head",
    "num_key_value_heads", "head_dim", "rope_theta", "rope_scaling", "rope_parameters", "rms_norm_eps", "layer_norm_eps",
    "layer_norm_epsilon", "norm_eps", "sliding_window", "attention_bias", "scale_embedding", "logit_scale", "quantization_config",
)  # fmt: skip
_NOT_COPIED = ("config.json", "README.md", "modelweave.json", "mergekit_config.yml", ".gitattributes", "adapter_config.json")
_COPIED_ENDS = (".json", ".jinja", ".model", ".txt", ".tiktoken", ".py")
_COPIED_STARTS = ("LICENSE", "LICENCE", "NOTICE", "USE_POLICY")
_WEIGHT_WORDS = (".index.json", "safetensors", "pytorch_model", "training_args", "trainer_state", "optimizer", "scheduler")


def result_config(
    document: Document,
    donor: View,
    views: Mapping[str, View],
    territories: Sequence[Territory],
    names: AbstractSet[str],
    untied: bool,
    dtype: str | None = None,
) -> tuple[dict[str, Any] | None, list[str]]:
    """The donor's config with the number of layers, the dtype and the tie as they are in the result; and warnings.

    names: of the result's tensors. dtype: of the result where that is neither the donor's nor said in the recipe.
    """
    if donor.checkpoint.config is None:
        return None, []
    config, warnings = dict(donor.checkpoint.config), []
    for territory in territories:
        if territory.stack is None:
            continue
        held = donor.layout.stacks[territory.stack]
        key = layers_key(config, territory.stack, held)
        if key is None:
            warnings.append(
                f"config.json of '{donor.label}' has no entry for the {held} layers of {territory.stack}; set their number by hand"
            )
            continue
        parts = []
        for block in territory.region.blocks:
            first = block.sources[0]
            parts.append((views[first.label].checkpoint.config, first.first, first.first + (block.count or 0)))
        if share := sized_by_depth(config, key, parts):
            raise CompatibilityError(
                f"{territory.region.where}: config.json of '{donor.label}' has {share}, so that tensors outside the layers hold a part for "
                f"each of {held} layers; keep their number"
            )
        if moved := kinds_by_position(config, key, parts):
            warnings.append(
                f"config.json tells kinds of layers by their number ({', '.join(moved)}), and the stack numbers them anew; check it"
            )
        config = with_layers(config, key, parts)
    if donor.extra_from is not None and not donor.further & names:
        config = without_further(config)
    word = document.out_dtype or document.dtype or dtype
    if word is not None:
        config = _with_dtype(config, word, top=True)
    if untied:
        config = {**config, "tie_word_embeddings": False}
    if donor.architecture is not None:
        config["architectures"] = [donor.architecture]
    return config, warnings


def _with_dtype(config: Mapping[str, Any], word: str, *, top: bool) -> dict[str, Any]:
    result = {k: _with_dtype(v, word, top=False) if isinstance(v, Mapping) and k.endswith("_config") else v for k, v in config.items()}
    names = [name for name in ("torch_dtype", "dtype") if name in result]
    for name in names or (["torch_dtype"] if top else []):
        result[name] = word
    return result


def config_warnings(views: Sequence[View], donor: View) -> Iterator[str]:
    """Differences between configs that the shapes of tensors do not show."""
    for view in views:
        config, ours = view.checkpoint.config, donor.checkpoint.config
        if config is None or ours is None:
            continue
        if config.get("quantization_config") and view is donor:
            yield f"model '{view.label}' is quantised: its whole-number tensors are copied from '{donor.label}', not merged"
        for theirs, mine, path in [(config, ours, ""), (config.get("text_config"), ours.get("text_config"), "text_config.")]:
            if view is donor or not isinstance(theirs, Mapping) or not isinstance(mine, Mapping):
                continue
            for key in _TELLING:
                if key in theirs and key in mine and theirs[key] != mine[key]:
                    yield (
                        f"model '{view.label}': config {path}{key} is {_short(theirs[key])}, '{donor.label}' has {_short(mine[key])}, "
                        "which the result keeps"
                    )


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def inherited_files(donor: Checkpoint) -> dict[str, bytes]:
    """The donor's side files that belong to the result: tokenizer, processor, generation config, chat template, licence."""
    found = {}
    for name in donor.side_files():
        wanted = name.startswith(_COPIED_STARTS) or name.endswith(_COPIED_ENDS)
        if wanted and "/" not in name and name not in _NOT_COPIED and not any(word in name for word in _WEIGHT_WORDS):
            found[name] = donor.side_file(name)
    return found


def licence_of(checkpoint: Checkpoint) -> str | None:
    """The licence that a model card's front matter names, or None.

    A card that cannot be read names none: it is prose, not an input of the merge.
    """
    if "README.md" not in checkpoint.side_files():
        return None
    text = checkpoint.side_file("README.md")[: 1 << 16].decode("utf-8", "replace").lstrip("\ufeff")
    if not text.startswith("---"):
        return None
    front, found, _ = text[3:].partition("\n---")
    try:
        data = read_yaml(front, "README.md") if found else []
    except RecipeError:
        return None
    value = data[0].data.get("license") if data and isinstance(data[0].data, dict) else None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) and value else None


def joint_licence(checkpoints: Sequence[Checkpoint]) -> tuple[str | None, list[str]]:
    """The licence of the result, and warnings when those of the inputs conflict."""
    from ...checkpoints.results.card import combine_licences

    licence, warnings = combine_licences([(checkpoint.label, licence_of(checkpoint)) for checkpoint in checkpoints])
    return licence, list(warnings)
