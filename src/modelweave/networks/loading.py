"""Whatever a user names as a network becomes one: a folder, a hub id, an adapter over a base, a file of weights, a module."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..checkpoints.open import open_checkpoint
from ..checkpoints.places.place import TOKENIZER_FILES
from ..checkpoints.tensors import Checkpoint
from ..errors import CheckpointError, CompatibilityError, ParameterError, unknown
from ..extras import extra

KINDS = {
    "base": "AutoModel",
    "causal_lm": "AutoModelForCausalLM",
    "masked_lm": "AutoModelForMaskedLM",
    "seq2seq_lm": "AutoModelForSeq2SeqLM",
    "sequence_classification": "AutoModelForSequenceClassification",
    "token_classification": "AutoModelForTokenClassification",
    "question_answering": "AutoModelForQuestionAnswering",
    "image_classification": "AutoModelForImageClassification",
}
"""What a network is for, and the transformers class that chooses its own."""


@dataclass(frozen=True)
class Loaded:
    """A network and what stands beside it.

    Attributes:
        network: with its weights.
        tokenizer: None where there is none, or none was asked for.
        checkpoint: what the weights were read from, None for a module that was given.
        left_out: names of the checkpoint's tensors that the network has no place for.
        fresh: names of the network's tensors that the checkpoint lacks, which have random values.
    """

    network: Any
    tokenizer: Any = None
    checkpoint: Checkpoint | None = None
    left_out: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()


def load(
    reference: Any,
    *,
    kind: str | None = None,
    into: nn.Module | None = None,
    adapter: str | os.PathLike[str] | None = None,
    allow: Sequence[str] = (),
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    tokenizer: bool = True,
) -> Loaded:
    """The network behind a name or object, with its weights; nothing that a checkpoint brings along is run.

    Args:
        reference: what `open_checkpoint` opens: a folder or hub id in the Hugging Face format, the same with a LoRA adapter merged into
            it as `base+adapter`, a file of weights, a state dict; or an nn.Module, which comes back as it is.
        kind: what the network is for: one of `base` (without a head), `causal_lm`, `masked_lm`, `seq2seq_lm`, `sequence_classification`,
            `token_classification`, `question_answering`, `image_classification`; None: what the config says that was saved.
        into: a module of one's own that gets the weights; no config is needed then.
        adapter: a folder or hub id of an adapter that peft keeps beside the network, to be trained on or switched off.
        allow: beginnings of tensor names that may be missing (they stay random) or left over, such as a new head.
        dtype: of the weights; None: as stored, or the type of `into`.
        device: where the network goes; None: the CPU, or where `into` is.
        tokenizer: whether the tokenizer beside the weights is loaded, where there is one.

    Returns:
        Loaded: a network that was built is in evaluation mode.

    Raises:
        CheckpointError: what is missing, damaged or unsafe, or has no config where one is needed.
        CompatibilityError: tensors that are missing, left over or of another shape, by name.
        MissingExtraError: transformers or peft are not installed.

    >>> load({"weight": torch.ones(1, 2)}, into=nn.Linear(2, 1, bias=False)).network(torch.ones(2))
    tensor([2.], grad_fn=<SqueezeBackward4>)
    """
    if isinstance(reference, nn.Module):
        if into is not None or kind is not None:
            raise ParameterError("load: a module is a network already; leave out into and kind")
        found = Loaded(reference)
    else:
        checkpoint = open_checkpoint(reference)
        found = _filled(checkpoint, into, allow) if into is not None else _built(checkpoint, kind, allow, dtype)
    network = found.network
    if adapter is not None:
        network = _with_adapter(network, adapter)
    if dtype is not None or device is not None:
        network = network.to(device=device, dtype=dtype)
    words = tokenizer_of(found.checkpoint) if tokenizer and found.checkpoint is not None else None
    return Loaded(network, words, found.checkpoint, found.left_out, found.fresh)


def tokenizer_of(checkpoint: Checkpoint) -> Any:
    """The tokenizer beside a checkpoint's weights as transformers makes it, None where there is none. No code of it is run."""
    names = [name for name in checkpoint.side_files() if name in TOKENIZER_FILES]
    if all(name.startswith("chat_template") for name in names):
        return None
    transformers = extra("transformers", "llm")
    with tempfile.TemporaryDirectory() as folder:  # the files may stand on a hub, or belong to the base of an adapter
        for name in [*names, *(["config.json"] if "config.json" in checkpoint.side_files() else [])]:
            (Path(folder) / name).write_bytes(checkpoint.side_file(name))
        try:
            made = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(f"model '{checkpoint.label}': its tokenizer does not load ({error}); give tokenizer=False") from error
    made.name_or_path = checkpoint.label
    return made


def _filled(checkpoint: Checkpoint, module: nn.Module, allow: Sequence[str]) -> Loaded:
    """Copy the weights into a module, tensor by tensor."""
    targets = module.state_dict()
    sources = _sources(checkpoint)
    # a name may be missing where another name of the same tensor is there
    places = {name: (value.data_ptr(), value.shape) for name, value in targets.items()}
    given = {places[name] for name in sources if name in places}
    missing = [name for name in targets if name not in sources and (places[name] not in given or not targets[name].numel())]
    left = [name for name in checkpoint if name not in targets]
    shapes = [(name, checkpoint[source].shape, tuple(targets[name].shape)) for name, source in sources.items() if name in targets]
    _check(checkpoint, missing, left, [row for row in shapes if row[1] != row[2]], allow)
    with torch.no_grad():
        for name, source in sources.items():
            if name in targets:
                targets[name].copy_(checkpoint[source].to_torch())
    return Loaded(module, None, checkpoint, tuple(left), tuple(missing))


def _built(checkpoint: Checkpoint, kind: str | None, allow: Sequence[str], dtype: torch.dtype | None) -> Loaded:
    """The transformers network that the config describes, with the weights."""
    config = checkpoint.config
    if config is None:
        raise CheckpointError(f"model '{checkpoint.label}': has no config.json; give a module with into=, or a folder that has one")
    transformers = extra("transformers", "llm")
    model, made = _class_of(transformers, checkpoint.label, config, kind)
    weights = {name: checkpoint[source].to_torch() for name, source in _sources(checkpoint).items() if name == source}
    with _quiet(transformers):
        network, told = model.from_pretrained(
            None, config=made, state_dict=weights, dtype=dtype or "auto", output_loading_info=True, ignore_mismatched_sizes=True
        )
    missing, left = sorted(told["missing_keys"]), sorted(told["unexpected_keys"])
    if kind == "base":  # the head is what it goes without
        inner = f"{network.base_model_prefix}."
        heads = () if not any(name.startswith(inner) for name in weights) else (name for name in left if not name.startswith(inner))
        allow = [*allow, *heads]
    _check(checkpoint, missing, left, sorted(told["mismatched_keys"]), allow)
    return Loaded(network.eval(), None, checkpoint, tuple(left), tuple(missing))


def _class_of(transformers: Any, label: str, config: Mapping[str, Any], kind: str | None) -> tuple[Any, Any]:
    """The class of the network and its config."""
    configs = transformers.models.auto.configuration_auto.CONFIG_MAPPING
    word = config.get("model_type")
    if word not in configs:
        raise CompatibilityError(f"model '{label}': transformers {transformers.__version__} knows no model_type {word!r}; give into=")
    made = configs[word].from_dict(dict(config))
    if kind is not None and kind not in KINDS:
        raise ParameterError(unknown("kind", kind, KINDS))
    if kind is not None:
        mapping = getattr(transformers, KINDS[kind])._model_mapping
        if type(made) not in mapping:
            raise CompatibilityError(f"model '{label}': transformers has no {kind} of the model_type {word!r}; give another kind")
        found = mapping[type(made)]
        return (found[0] if isinstance(found, (tuple, list)) else found), made
    names = config.get("architectures") or [""]
    model = getattr(transformers, str(names[0]), None)
    if not (isinstance(model, type) and issubclass(model, transformers.PreTrainedModel)):
        raise CompatibilityError(f"model '{label}': its config names {names[0]!r}, no network of transformers; give kind or into")
    return model, made


def _with_adapter(network: Any, adapter: str | os.PathLike[str]) -> Any:
    """The network with an adapter beside its weights."""
    peft = extra("peft", "llm")
    try:
        return peft.PeftModel.from_pretrained(network, os.fspath(adapter), is_trainable=True)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise CheckpointError(f"adapter '{adapter}': does not load over this network ({error}); give a peft folder for it") from error


def _sources(checkpoint: Checkpoint) -> dict[str, str]:
    """Every name of a tensor, with the name under which it is stored."""
    return {**{name: name for name in checkpoint}, **{name: source for name, source in checkpoint.aliases.items() if source in checkpoint}}


def _check(checkpoint: Checkpoint, missing: Sequence[str], left: Sequence[str], shapes: Sequence[Any], allow: Sequence[str]) -> None:
    """Raise CompatibilityError for names that do not fit and are not allowed to."""
    where = f"model '{checkpoint.label}'"
    for name, stored, wanted in shapes:
        raise CompatibilityError(f"{where}: '{name}' has the shape {tuple(stored)}, expected {tuple(wanted)}; give the network it is for")
    for words, names in (("lacks", missing), ("has no place in the network for", left)):
        names = [name for name in names if not name.startswith(tuple(allow))]
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise CompatibilityError(f"{where}: {words} '{names[0]}'{more}; give the network that it is of, or allow=['{names[0]}', ...]")


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """transformers draws a bar and prints what it misses, which is told by errors here."""
    logging = transformers.utils.logging
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
