"""Tokens that stand beside the vocabulary: with the ids that transformers gives them, in every file that is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelweave.errors import CheckpointError
from modelweave.recipes.tokenizer.comparison import opaque_but_equal, same_tokenizers
from modelweave.recipes.tokenizer.files import read_tokenizer, vocabulary_digest
from modelweave.recipes.tokenizer.vocabulary import TokenizerSettings

from .test_vocabulary import Folder, column, load, plan, words

transformers = pytest.importorskip("transformers")


def added(token: str, **settings: bool) -> dict[str, Any]:
    return {"content": token, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True, **settings}


def typed(token: str) -> dict[str, Any]:
    return {"__type": "AddedToken", **added(token)}


BESIDE: dict[str, dict[str, dict[str, Any]]] = {
    "pad token": {"tokenizer_config": {"pad_token": "[PAD]"}},
    "pad token as a mapping": {"tokenizer_config": {"pad_token": typed("[PAD]")}},
    "named in another order": {"tokenizer_config": {"mask_token": "<m>", "pad_token": "[PAD]", "eos_token": "</s>", "bos_token": "a"}},
    "names of its own": {
        "tokenizer_config": {"image_token": "<img>", "z_token": typed("<z>"), "pad_token": "[PAD]", "add_bos_token": True},
    },
    "added_tokens.json": {"added_tokens": {"<g>": 6, "<f>": 5}},
    "added_tokens.json with a hole": {"added_tokens": {"<f>": 50}},
    "decoder": {"tokenizer_config": {"added_tokens_decoder": {"6": added("<e>"), "5": added("<d>", special=False)}}},
    "decoder holds alone": {
        "tokenizer_config": {"added_tokens_decoder": {"5": added("<d>")}, "pad_token": "[PAD]"},
        "special_tokens_map": {"pad_token": "[P]"},
        "added_tokens": {"<f>": 5},
    },
    "special_tokens_map.json": {
        "special_tokens_map": {"pad_token": added("[PAD]"), "additional_special_tokens": ["<y>", "<x>"], "image_token": "<img>"}
    },
    "special_tokens_map.json overrides": {
        "tokenizer_config": {"pad_token": "[P]", "additional_special_tokens": ["<e>"]},
        "special_tokens_map": {"pad_token": "[PAD]", "additional_special_tokens": ["<y>"]},
    },
    "extra list": {"tokenizer_config": {"extra_special_tokens": ["<e>", typed("<d>"), "<e>", "a"]}},
    "extra mapping": {"tokenizer_config": {"extra_special_tokens": {"image_token": "<img>", "foo": "<foo>"}, "pad_token": "[PAD]"}},
    "additional list": {"tokenizer_config": {"additional_special_tokens": ["<e>", typed("<d>")]}},
    "additional gives way to extra": {"tokenizer_config": {"additional_special_tokens": ["<e>"], "extra_special_tokens": ["<d>"]}},
}


def tokenizer(names: list[str], more: list[str], beside: dict[str, dict[str, Any]]) -> dict[str, bytes]:
    files = words(names, more)
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **beside.get("tokenizer_config", {})}
    others = {f"{name}.json": json.dumps(value).encode() for name, value in beside.items()}
    return {**files, **others, "tokenizer_config.json": json.dumps(config).encode()}


def loaded(files: dict[str, bytes], folder: Any) -> dict[str, int]:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    vocabulary: dict[str, int] = transformers.AutoTokenizer.from_pretrained(str(folder)).get_vocab()
    return vocabulary


@pytest.mark.parametrize("name", BESIDE)
def test_tokens_beside_the_vocabulary_get_the_ids_of_transformers(name, tmp_path):
    files = tokenizer(["[UNK]", "a", "b", "c"], ["<x>"], BESIDE[name])
    theirs = loaded(files, tmp_path / "given")
    found = read_tokenizer(Folder("m", 0, 9, files))
    assert found is not None and found.ids == theirs
    assert loaded(dict(found.files), tmp_path / "written") == theirs
    assert loaded({"tokenizer.json": found.files["tokenizer.json"]}, tmp_path / "alone") == theirs


@pytest.mark.parametrize("source", ["union", "base", "two"])
@pytest.mark.parametrize("role", ["base", "other"])
@pytest.mark.parametrize("name", BESIDE)
def test_rows_follow_tokens_that_stand_beside_the_vocabulary(name, role, source, tmp_path):
    beside = tokenizer(["[UNK]", "a", "b", "c"], ["<x>"], BESIDE[name])
    plain = words(["[UNK]", "c", "a", "d"], ["<y>", "<x>"])
    sizes = loaded(beside, tmp_path / "beside"), loaded(plain, tmp_path / "plain")
    models = [Folder("one", 10, len(sizes[0]), beside), Folder("two", 40, len(sizes[1]), plain)]
    theirs = [dict(ids) for ids in sizes]
    if role == "other":
        models = [Folder("one", 10, len(sizes[1]), plain), Folder("two", 40, len(sizes[0]), beside)]
        theirs.reverse()
    vocabulary = plan(models, source)
    result = load(vocabulary, tmp_path).get_vocab()
    assert sorted(result.values()) == list(range(vocabulary.size))
    wanted = {"union": theirs[0].keys() | theirs[1].keys(), "base": theirs[0].keys(), "two": theirs[1].keys()}
    assert result.keys() == wanted[source]
    for k, first in enumerate((10, 40)):
        rows = column(vocabulary, models, k)
        assert [rows[i] - first for token, i in result.items() if token in theirs[k]] == [
            theirs[k][token] for token in result if token in theirs[k]
        ]


def test_a_union_over_a_named_pad_token_keeps_its_row(tmp_path):
    base = tokenizer(["[UNK]", "a"], [], {"tokenizer_config": {"pad_token": "[PAD]"}})
    models = [Folder("base", 10, 3, base), Folder("chat", 20, 4, words(["[UNK]", "a"], ["<|im_start|>", "<|im_end|>"]))]
    union = plan(models, "union")
    assert union.tokens == ("[UNK]", "a", "[PAD]", "<|im_start|>", "<|im_end|>")
    assert column(union, models, 0) == [10, 11, 12, 22, 23]
    assert column(union, models, 1) == [20, 21, 12, 22, 23]
    padded = load(union, tmp_path)
    assert (padded.pad_token_id, len(padded)) == (2, union.size)


def test_a_named_token_without_a_row_is_named_no_more(tmp_path):
    beside = {"tokenizer_config": {"pad_token": "[PAD]", "extra_special_tokens": ["a", "<e>"], "unk_token": "[UNK]"}}
    base = tokenizer(["[UNK]", "a"], [], {**beside, "special_tokens_map": {"mask_token": "<m>"}})
    document = json.loads(base["tokenizer.json"])
    padding = {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": 2, "pad_type_id": 0}
    base["tokenizer.json"] = json.dumps({**document, "padding": {**padding, "pad_token": "[PAD]"}}).encode()
    chat = words(["[UNK]", "a"], ["<|end|>"])
    union = plan([Folder("base", 10, 2, base), Folder("chat", 20, 3, chat)], "union")
    assert union.tokens == ("[UNK]", "a", "<|end|>")
    assert "left out: '[PAD]', '<m>', '<e>'" in union.warnings[0]
    result = load(union, tmp_path)
    assert result.get_vocab() == {"[UNK]": 0, "a": 1, "<|end|>": 2}
    assert result.pad_token is None and result.unk_token == "[UNK]"
    # a row that the recipe gives keeps the name
    kept = plan([Folder("base", 10, 2, base)], "union", tokens={"[PAD]": {"source": {"kind": "zero"}}})
    assert json.loads(kept.files["tokenizer_config.json"])["pad_token"] == "[PAD]"


def test_ids_with_holes_are_those_that_a_load_gives(tmp_path):
    files = words(["[UNK]", "a"], ["<x>"])
    document = json.loads(files["tokenizer.json"])
    document["added_tokens"].append({"id": 9, **added("<y>")})
    files["tokenizer.json"] = json.dumps(document).encode()
    models = [Folder("base", 10, 12, files), Folder("chat", 30, 3, words(["[UNK]", "a"], ["<z>"]))]
    union = plan(models, "union")
    assert load(union, tmp_path).get_vocab() == {"[UNK]": 0, "a": 1, "<x>": 2, "<y>": 3, "<z>": 4}
    assert column(union, models, 1)[:5] == [30, 31, 12, 13, 32]


def test_a_list_in_the_config_is_kept_whole_for_tokenizers_that_are_built_from_it(tmp_path):
    gpt2 = words(["<|endoftext|>", "a"])
    document = json.loads(gpt2["tokenizer.json"])
    document["model"] = {"type": "BPE", "vocab": {"<|endoftext|>": 0, "a": 1}, "merges": []}
    config = {"tokenizer_class": "GPT2Tokenizer", "added_tokens_decoder": {"0": added("<|endoftext|>")}, "pad_token": "[PAD]"}
    gpt2 = {"tokenizer.json": json.dumps(document).encode(), "tokenizer_config.json": json.dumps(config).encode()}
    union = plan([Folder("base", 10, 3, gpt2), Folder("chat", 20, 3, words(["a", "b"], ["<x>"]))], "union")
    assert load(union, tmp_path).get_vocab() == {t: i for i, t in enumerate(union.tokens)}
    assert union.tokens == ("<|endoftext|>", "a", "[PAD]", "b", "<x>")


def test_the_older_files_with_named_tokens(tmp_path):
    bert = {"vocab.txt": b"[UNK]\na\n##b\n[SEP]\n[PAD]\n[CLS]\n[MASK]\n"}
    bert["tokenizer_config.json"] = json.dumps({"tokenizer_class": "BertTokenizer", "extra_special_tokens": ["<e>"]}).encode()
    bert["special_tokens_map.json"] = json.dumps({"pad_token": added("<pad>")}).encode()
    models = [Folder("base", 10, 9, bert), Folder("other", 30, 3, words(["[UNK]", "a"], ["<x>"]))]
    assert read_tokenizer(models[0]).ids == loaded(bert, tmp_path / "given")
    union = plan(models, "union")
    result = load(union, tmp_path)
    assert result.get_vocab() == {t: i for i, t in enumerate(union.tokens)}
    assert (result.pad_token, union.tokens[7:]) == ("<pad>", ("<pad>", "<e>", "<x>"))
    assert column(union, models, 1) == [30, 31, 12, 13, 14, 15, 16, 17, 18, 32]


def test_equal_vocabularies_with_other_tokens_beside_them_differ():
    plain, padded = words(["a", "b"]), tokenizer(["a", "b"], [], {"tokenizer_config": {"pad_token": "[PAD]"}})
    sentence = same_tokenizers([Folder("x", 0, 3, plain), Folder("y", 0, 3, padded)])
    assert sentence is not None and "0 tokens only in the first, 1 only in the second" in sentence
    # a name beyond the last row says nothing of the rows, nor does one of a token that is there
    assert same_tokenizers([Folder("x", 0, 2, plain), Folder("y", 0, 2, padded)]) is None
    named = tokenizer(["a", "b"], [], {"tokenizer_config": {"pad_token": "b"}})
    assert same_tokenizers([Folder("x", 0, 3, plain), Folder("y", 0, 3, named)]) is None


def test_tokens_beside_a_sentencepiece_file_are_part_of_it():
    def opaque(label: str, beside: dict[str, dict[str, Any]], pieces: bytes = b"\n\x0a\n\x03<s>\x15\0\0\0\0") -> Folder:
        return Folder(label, 10, 4, {"tokenizer.model": pieces, **{f"{k}.json": json.dumps(v).encode() for k, v in beside.items()}})

    def are_equal(*beside: dict[str, dict[str, Any]]) -> bool:
        return opaque_but_equal(TokenizerSettings("union"), [opaque(str(k), one) for k, one in enumerate(beside)])

    one, other = {"<a>": 2, "<b>": 3}, {"<a>": 3, "<b>": 2}
    decoder = {str(i): added(token) for token, i in one.items()}
    assert are_equal({"added_tokens": one}, {"added_tokens": one})
    assert not are_equal({"added_tokens": one}, {"added_tokens": other})
    assert not are_equal({"added_tokens": one}, {})
    assert are_equal({"added_tokens": one}, {"tokenizer_config": {"added_tokens_decoder": decoder}})
    assert not are_equal({"tokenizer_config": {"pad_token": "[PAD]"}}, {"tokenizer_config": {"pad_token": "[P]"}})
    # a name for a piece of the file adds no token
    assert are_equal({"tokenizer_config": {"pad_token": "<s>", "chat_template": "x"}}, {})
    models = [opaque("x", {"added_tokens": one}), opaque("y", {"added_tokens": other})]
    assert vocabulary_digest(models[0]) != vocabulary_digest(models[1])


@pytest.mark.parametrize(
    ("name", "data", "words_of_it"),
    [
        ("tokenizer_config.json", b"no", "tokenizer_config.json: is not valid JSON"),
        ("tokenizer_config.json", b"[]", "tokenizer_config.json: expected a JSON object, got a list"),
        ("tokenizer_config.json", b"[" * 100_000, "nested too deeply"),
        ("tokenizer_config.json", b'{"added_tokens_decoder": []}', "added_tokens_decoder in tokenizer_config.json is not a list of tokens"),
        ("tokenizer_config.json", b'{"added_tokens_decoder": {"x": {"content": "a"}}}', "an id and a text for each"),
        ("tokenizer_config.json", b'{"added_tokens_decoder": {"3": "a"}}', "an id and a text for each"),
        ("tokenizer_config.json", b'{"added_tokens_decoder": {"3": {"content": 3}}}', "an id and a text for each"),
        ("added_tokens.json", b"{", "added_tokens.json: is not valid JSON"),
        ("added_tokens.json", b"[]", "added_tokens.json: expected a JSON object, got a list"),
        ("added_tokens.json", b'{"<x>": "3"}', "added_tokens.json is not a list of tokens"),
        ("special_tokens_map.json", b"null", "special_tokens_map.json: expected a JSON object, got null"),
    ],
)
@pytest.mark.parametrize("old", [False, True])
def test_damaged_files_beside_the_vocabulary_are_one_sentence(name, data, words_of_it, old):
    files = {"vocab.txt": b"[UNK]\na\n"} if old else words(["[UNK]", "a"])
    with pytest.raises(CheckpointError, match="model 'm': .*") as caught:
        plan([Folder("m", 0, 2, {**files, name: data})], "union")
    assert words_of_it in str(caught.value) and "\n" not in str(caught.value)


def test_a_damaged_file_beside_a_vocabulary_that_stays_is_a_warning():
    files = words(["a", "b"])
    damaged = Folder("y", 0, 2, {**files, "tokenizer_config.json": b"[]"})
    sentence = same_tokenizers([Folder("x", 0, 2, files), damaged])
    assert sentence is not None and "model 'y': tokenizer_config.json: expected a JSON object, got a list" in sentence


@pytest.mark.parametrize("data", [b"no", b"[]", b"null"])
def test_a_damaged_generation_config_is_one_sentence(data):
    union = plan([Folder("m", 0, 2, words(["a", "b"]))], "union")
    with pytest.raises(CheckpointError, match="model 'm': generation_config.json: .*; get a fresh copy of it"):
        union.side_files({"generation_config.json": data})
