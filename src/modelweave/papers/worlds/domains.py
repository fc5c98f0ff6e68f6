"""Text of three domains that comes with Python and with torch: Python source, English prose about it, C++ headers."""

from __future__ import annotations

import ast
import sysconfig
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

DOMAINS = ("Python source", "English docstrings", "C++ headers")
HELD_OUT = 6
"""One file in so many is held out, by a checksum of its name."""


def domain_texts() -> dict[str, dict[str, list[str]]]:
    """Domain to "train" and "held-out" to texts, in an order that a checksum of the file's name decides."""
    found: dict[str, dict[str, list[str]]] = {d: {"train": [], "held-out": []} for d in DOMAINS}
    for file in _mixed(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        parts = split_module(file.read_text(encoding="utf-8"))
        for domain, word in zip(DOMAINS, ("code", "docstrings"), strict=False):
            found[domain]["held-out" if is_held_out(file) else "train"].append(parts[word])
    headers = Path(torch.__file__).parent / "include"
    for file in _mixed([*(headers / "c10").rglob("*.h"), *(headers / "ATen").glob("*.h")]):
        found[DOMAINS[2]]["held-out" if is_held_out(file) else "train"].append(file.read_text(encoding="utf-8", errors="replace"))
    return found


def _mixed(files: Iterable[Path]) -> list[Path]:
    return sorted(files, key=lambda file: (zlib.crc32(file.name.encode()), file.name))


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
    tokens = torch.tensor(tokenizer("\n\n".join(texts)[:characters], verbose=False).input_ids)
    return tokens[: len(tokens) // length * length].view(-1, length)
