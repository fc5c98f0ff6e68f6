"""Vocabularies that stand in another library's format alone (sentencepiece, tiktoken), brought into tokenizer.json by transformers."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ...errors import CheckpointError

_BY_HAND = "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"


def converted(label: str, name: str, files: Mapping[str, bytes], config: Mapping[str, Any] | None) -> dict[str, bytes]:
    """tokenizer.json and tokenizer_config.json as transformers makes them of a tokenizer's files, with the tokens that they add.

    name: of the file that holds the vocabulary. config: of the model; it names the kind where the tokenizer's own does not.
    No code beside the files is run. Raises CheckpointError where transformers is missing or cannot read them.
    """
    given = {file: data for file, data in files.items() if not file.endswith(".py")}
    if config is not None:
        given["config.json"] = json.dumps(config, default=str).encode()
    try:
        return dict(_by_transformers(tuple(sorted(given.items()))))
    except Exception as error:
        # it raises whatever the libraries below it raise
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise CheckpointError(
            f"model '{label}': its tokenizer is only {name}, expected tokenizer.json, and cannot be converted ({reason}); "
            f"pip install 'modelweave[llm]', or write one with transformers: {_BY_HAND}"
        ) from error


@lru_cache(maxsize=8)
def _by_transformers(files: tuple[tuple[str, bytes], ...]) -> Mapping[str, bytes]:
    from transformers import AutoTokenizer

    with TemporaryDirectory() as folder, _quiet():
        for file, data in files:
            (Path(folder) / file).write_bytes(data)
        made = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        made.save_pretrained(Path(folder) / "made")
        found = {name: Path(folder) / "made" / name for name in ("tokenizer.json", "tokenizer_config.json")}
        if not found["tokenizer.json"].exists():
            raise ValueError(f"{type(made).__name__} has no such form")
        return {name: path.read_bytes() for name, path in found.items() if path.exists()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without advice on how the files could be better."""
    from transformers.utils import logging as advice

    before = advice.get_verbosity()
    advice.set_verbosity(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        advice.set_verbosity(before)
