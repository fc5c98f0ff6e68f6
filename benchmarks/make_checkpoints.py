"""Write Llama-shaped bfloat16 checkpoints of random numbers: a base and three fine-tunes of it.

    python benchmarks/make_checkpoints.py FOLDER --size 50m

The base is N(0, 0.02), a fine-tune is the base plus N(0, 0.001), which moves nearly every bfloat16 entry. The bytes
depend on the size and the seed alone, not on threads. A folder that already holds the checkpoints is left as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MEMBERS = ("base", "a", "b", "c")
CHUNK = 1 << 20
SEED = 0


@dataclass(frozen=True)
class Shape:
    """The numbers in a Llama's config that decide its tensors."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Name to shape, in the order of the file."""
        wide, kv = self.hidden, self.hidden // self.heads * self.kv_heads
        found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.vocabulary, wide)}
        for layer in range(self.layers):
            at = f"model.layers.{layer}."
            found |= {
                at + "input_layernorm.weight": (wide,),
                at + "mlp.down_proj.weight": (wide, self.intermediate),
                at + "mlp.gate_proj.weight": (self.intermediate, wide),
                at + "mlp.up_proj.weight": (self.intermediate, wide),
                at + "post_attention_layernorm.weight": (wide,),
                at + "self_attn.k_proj.weight": (kv, wide),
                at + "self_attn.o_proj.weight": (wide, wide),
                at + "self_attn.q_proj.weight": (wide, wide),
                at + "self_attn.v_proj.weight": (kv, wide),
            }
        return found | {"model.norm.weight": (wide,), "lm_head.weight": (self.vocabulary, wide)}

    def config(self) -> dict[str, object]:
        """config.json as transformers reads it."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "hidden_act": "silu",
            "bos_token_id": 1,
            "eos_token_id": 2,
        }

    @property
    def parameters(self) -> int:
        return sum(int(np.prod(shape)) for shape in self.tensors().values())


SIZES = {
    "tiny": Shape(64, 128, 1, 4, 2, 256),
    "50m": Shape(512, 1408, 6, 8, 4, 32000),
    "350m": Shape(1024, 2816, 24, 16, 4, 32000),
    "1.1b": Shape(2048, 5632, 22, 32, 4, 32000),
}


def write_checkpoints(folder: Path, size: str) -> dict[str, Path]:
    """Member to its folder, each with config.json and model.safetensors."""
    shape = SIZES[size]
    header, data_bytes = _header(shape)
    folders = {member: folder / size / member for member in MEMBERS}
    files = {member: at / "model.safetensors" for member, at in folders.items()}
    if all(file.is_file() and file.stat().st_size == len(header) + data_bytes for file in files.values()):
        return folders
    # whole under its final name only when finished, so that a killed run is not taken for a good one
    unfinished = {member: file.with_suffix(".part") for member, file in files.items()}
    for member, at in folders.items():
        at.mkdir(parents=True, exist_ok=True)
        (at / "config.json").write_text(json.dumps(shape.config(), indent=2) + "\n", encoding="utf-8")
        with open(unfinished[member], "wb") as out:
            out.write(header)
            out.truncate(len(header) + data_bytes)
    handles = [os.open(unfinished[member], os.O_WRONLY) for member in MEMBERS]
    try:
        with ThreadPoolExecutor() as pool:
            count = data_bytes // 2
            starts = range(0, count, CHUNK)
            list(pool.map(lambda at: _write_chunk(handles, len(header), at, min(CHUNK, count - at)), starts))
    finally:
        for handle in handles:
            os.close(handle)
    for member in MEMBERS:
        unfinished[member].rename(files[member])
    return folders


def _header(shape: Shape) -> tuple[bytes, int]:
    """The safetensors header, and the length of the data that follows it."""
    entries, at = {}, 0
    for name, dims in shape.tensors().items():
        end = at + 2 * int(np.prod(dims))
        entries[name] = {"dtype": "BF16", "shape": list(dims), "data_offsets": [at, end]}
        at = end
    text = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, at


def _write_chunk(handles: list[int], offset: int, start: int, count: int) -> None:
    """The same stretch of all four files; its random stream depends on its place alone."""
    chance = np.random.Generator(np.random.SFC64([SEED, start]))
    base = chance.standard_normal(count, dtype=np.float32)
    base *= 0.02
    stored = _to_bf16(base)
    exact = (stored.astype(np.uint32) << 16).view(np.float32)
    os.pwrite(handles[0], stored.tobytes(), offset + 2 * start)
    for handle in handles[1:]:
        noise = chance.standard_normal(count, dtype=np.float32)
        noise *= 0.001
        noise += exact
        os.pwrite(handle, _to_bf16(noise).tobytes(), offset + 2 * start)


def _to_bf16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round to nearest, ties to even. Works on finite values; overwrites its argument."""
    bits = values.view(np.uint32)
    bits += 0x7FFF + ((bits >> 16) & 1)
    return (bits >> 16).astype(np.uint16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=list(SIZES), default="50m")
    given = parser.parse_args()
    for member, folder in write_checkpoints(given.folder, given.size).items():
        print(f"{member}: {folder} ({SIZES[given.size].parameters / 1e6:.1f} M parameters)")


if __name__ == "__main__":
    main()
