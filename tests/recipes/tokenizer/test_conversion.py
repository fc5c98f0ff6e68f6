"""Vocabularies in sentencepiece's format alone: they are aligned by token like any other, and the result encodes text as before."""

from __future__ import annotations

import io
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from modelweave.errors import CheckpointError, CompatibilityError
from modelweave.recipes.tokenizer.comparison import same_tokenizers
from modelweave.recipes.tokenizer.files import read_tokenizer

from .test_vocabulary import Folder, column, plan, words

TEXT = "Several fine-tunes of one base become one model, by a recipe of a few lines: no training, no GPU, and memory that does not grow."
SETTINGS = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True}


@pytest.fixture(scope="module")
def pieces() -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import sentencepiece

    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([TEXT] * 20),
        model_writer=made,
        vocab_size=310,
        model_type="bpe",
        byte_fallback=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        minloglevel=2,
    )
    return made.getvalue()


def files(pieces: bytes, added: dict[str, int] | None = None) -> dict[str, bytes]:
    beside: dict[str, Any] = {"tokenizer_config.json": SETTINGS, **({"added_tokens.json": added} if added else {})}
    return {"tokenizer.model": pieces, **{name: json.dumps(value).encode() for name, value in beside.items()}}


def test_the_ids_are_those_of_the_pieces(pieces: bytes) -> None:
    import sentencepiece

    own = sentencepiece.SentencePieceProcessor(model_proto=pieces)
    found = read_tokenizer(Folder("a", 0, 311, files(pieces, {"<pad>": 310}), model_type="llama"))
    assert found is not None
    assert dict(found.ids) == {**{own.id_to_piece(i): i for i in range(310)}, "<pad>": 310}


def test_it_joins_a_union_and_the_result_encodes_as_before(pieces: bytes, tmp_path: Path) -> None:
    import sentencepiece
    from transformers import AutoTokenizer

    a = Folder("a", 0, 310, files(pieces), model_type="llama")
    b = Folder("b", 1000, 311, files(pieces, {"<pad>": 310}), model_type="llama")
    found = plan([a, b], "union")
    assert found.size == 311 and found.tokens[310] == "<pad>"
    assert column(found, [a, b], 0)[-2:] == [309, 1310]
    for name, data in found.side_files({}).items():
        (tmp_path / name).write_bytes(data)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert len(loaded) == 311 and loaded.convert_tokens_to_ids("<pad>") == 310
    # for those who read tokenizer.model
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["added_tokens_decoder"]["310"]["content"] == "<pad>"
    own = sentencepiece.SentencePieceProcessor(model_proto=pieces)
    assert loaded.encode(TEXT, add_special_tokens=False) == own.encode(TEXT)


def test_special_tokens_keep_their_meaning_when_tokens_join(pieces: bytes, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    names = {"bos_token": "<s>", "eos_token": "<|end|>", "unk_token": "<unk>", "pad_token": "<|end|>"}
    kind = {"tokenizer_class": "LlamaTokenizer"}
    beside = {"tokenizer_config.json": kind, "special_tokens_map.json": names, "added_tokens.json": {"<|end|>": 310}}
    a = Folder("a", 0, 311, {"tokenizer.model": pieces, **{name: json.dumps(value).encode() for name, value in beside.items()}})
    b = Folder("b", 1000, 311, files(pieces, {"<|im_end|>": 310}), model_type="llama")
    for name, data in plan([a, b], "union").side_files({}).items():
        (tmp_path / name).write_bytes(data)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert (loaded.eos_token, loaded.pad_token, loaded.eos_token_id, len(loaded)) == ("<|end|>", "<|end|>", 310, 312)
    assert loaded.convert_tokens_to_ids("<|im_end|>") == 311


def test_a_vocabulary_alone_keeps_the_names_that_transformers_gives(pieces: bytes) -> None:
    found = read_tokenizer(Folder("a", 0, 310, {"tokenizer.model": pieces}, model_type="llama"))
    assert found is not None
    named = json.loads(found.files["tokenizer_config.json"])
    assert (named["bos_token"], named["eos_token"], named["unk_token"]) == ("<s>", "</s>", "<unk>")


def test_vocabularies_in_two_formats_are_compared(pieces: bytes) -> None:
    a, b = Folder("a", 0, 310, files(pieces), model_type="llama"), Folder("b", 0, 310, files(pieces, {"<x>": 310}), model_type="llama")
    spelled_out = read_tokenizer(a)
    assert spelled_out is not None
    same = Folder("c", 0, 310, {name: data for name, data in spelled_out.files.items() if name != "tokenizer.model"})
    assert same_tokenizers([a, same]) is None and same_tokenizers([a, b]) is None  # <x> has no row
    with pytest.raises(CompatibilityError, match="its vocabulary differs from that of 'a'"):
        same_tokenizers([a, Folder("d", 0, 310, words([f"w{i}" for i in range(310)]))])
    damaged = Folder("e", 0, 310, files(b"no pieces"), model_type="llama")
    assert "whether the tokenizers are equal cannot be told" in (same_tokenizers([a, damaged]) or "")


def test_beside_a_vocabulary_in_another_format_rows_follow_their_tokens(pieces: bytes) -> None:
    a = Folder("a", 0, 310, files(pieces), model_type="llama")
    b = Folder("b", 1000, 4, words(["<unk>", "▁of", "</s>", "▁one"]))
    ids = read_tokenizer(a).ids  # type: ignore[union-attr]
    found = plan([a, b], "base")
    assert column(found, [a, b], 1)[:3] == [1000, ids["<s>"], 1002]
    assert [column(found, [a, b], 1)[ids[token]] for token in ("▁of", "▁one")] == [1001, 1003]


def test_what_cannot_be_converted_is_one_sentence(pieces: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    said = r"model 'a': its tokenizer is only tokenizer.model, expected tokenizer.json, and cannot be converted \(.+\); pip install"
    with pytest.raises(CheckpointError, match=said):
        read_tokenizer(Folder("a", 0, 3, files(b"no pieces"), model_type="llama"))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CheckpointError, match=said):
        read_tokenizer(Folder("a", 0, 310, files(pieces + b"\0"), model_type="llama"))


def test_code_beside_a_tokenizer_is_not_run(tmp_path: Path, pieces: bytes) -> None:
    code = f"open({str(tmp_path / 'ran')!r}, 'w')".encode()
    settings = {**SETTINGS, "tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["tokenization_own.Own", None]}}
    beside = {"tokenizer.model": pieces, "tokenizer_config.json": json.dumps(settings).encode(), "tokenization_own.py": code}
    with pytest.raises(CheckpointError, match="cannot be converted"):
        read_tokenizer(Folder("a", 0, 310, beside))
    assert not (tmp_path / "ran").exists()
