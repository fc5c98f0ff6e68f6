"""Vocabulary alignment: row maps worked by hand, mergekit's numbers, and tokenizers that transformers loads."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from modelweave.checkpoints.row_gather import AVERAGE, MEAN, ZERO
from modelweave.checkpoints.tensors import Bytes, Checkpoint, TensorRef
from modelweave.errors import CheckpointError, CompatibilityError, RecipeError
from modelweave.recipes.tokenizer.chat_template import TEMPLATES, with_chat_template
from modelweave.recipes.tokenizer.vocabulary import (
    TokenizerSettings,
    TokenRow,
    Vocabulary,
    embedding_rows,
    is_vocabulary_tensor,
    plan_vocabulary,
    same_tokenizers,
)
from modelweave.recipes.tokenizer.vocabulary_config import changed_size

tokenizers = pytest.importorskip("tokenizers")

NAME = "model.embed_tokens.weight"


class Memory(TensorRef):
    def __init__(self, name: str, values: NDArray[np.float32]) -> None:
        super().__init__(name, values.shape, "F32")
        self._data = values.view(np.uint8).reshape(-1)

    def read_into(self, start: int, out: Bytes) -> None:
        out[:] = self._data[start * 4 : start * 4 + out.nbytes]


class Folder(Checkpoint):
    def __init__(self, label: str, first: float, rows: int, files: dict[str, bytes], **config: object) -> None:
        values = np.repeat(first + np.arange(rows, dtype=np.float32)[:, None], 2, axis=1)
        tensors = {NAME: Memory(NAME, values), "lm_head.bias": Memory("lm_head.bias", -values[:, 0])}
        super().__init__(label, tensors, config={"vocab_size": rows, **config})
        self._files = files

    def side_files(self) -> tuple[str, ...]:
        return tuple(self._files)

    def side_file(self, name: str) -> bytes:
        return self._files[name]


def words(names: list[str], added: list[str] = (), special: bool = True) -> dict[str, bytes]:
    """A word-level tokenizer's files, as the tokenizers library writes them."""
    model = tokenizers.models.WordLevel({w: i for i, w in enumerate(names)}, unk_token=names[0])
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made.add_tokens([tokenizers.AddedToken(t, special=special, normalized=False) for t in added])
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": names[0]}
    return {"tokenizer.json": made.to_str().encode(), "tokenizer_config.json": json.dumps(config).encode()}


def three() -> list[Folder]:
    return [
        Folder("base", 10, 4, words(["[UNK]", "a", "b", "c"])),
        Folder("one", 20, 5, words(["[UNK]", "b", "a", "d"], ["<x>"])),
        Folder("two", 40, 6, words(["[UNK]", "a", "c", "d", "e"], ["<x>"])),
    ]


def plan(models: list[Folder], source=None, base: int | None = 0, donor: int = 0, **tokenizer) -> Vocabulary:
    settings = TokenizerSettings.from_recipe(None, {"source": source, **tokenizer})
    vocabulary = plan_vocabulary(settings, models, base, donor)
    assert vocabulary is not None
    return vocabulary


def column(vocabulary: Vocabulary, models: list[Folder], index: int, name: str = NAME) -> list[float]:
    refs = [model[name] for model in models]
    return vocabulary.wrap(index, refs[index], refs).read().view(np.float32)[:: 2 if name == NAME else 1].tolist()


# The numbers of this block are those that mergekit 0.1.5 writes for these models (linear with weights one and zero); the order
# of new tokens is ours (its own changes from run to run).


def test_union_has_mergekits_rows():
    models = three()
    union = plan(models, "union")
    assert union.tokens == ("[UNK]", "a", "b", "c", "d", "e", "<x>")
    assert column(union, models, 0) == [10, 11, 12, 13, 33, 44, 34.5]
    assert column(union, models, 1) == [20, 22, 21, 13, 23, 44, 24]
    assert column(union, models, 2) == [40, 41, 12, 42, 43, 44, 45]
    assert column(union, models, 1, "lm_head.bias") == [-20, -22, -21, -13, -23, -44, -24]
    assert union.config_changes == {"vocab_size": 7}


def test_union_without_a_base_takes_the_mean_of_owners():
    models = three()
    union = plan(models, "union", base=None)
    assert column(union, models, 0) == [10, 11, 12, 13, 33, 44, 34.5]
    assert column(union, models, 1) == [20, 22, 21, 27.5, 23, 44, 24]


def test_token_sources_force_and_padding_have_mergekits_rows():
    models = three()
    tokens = {
        "<x>": {"source": "two", "force": True},
        "d": {"source": {"kind": "model_token", "model": "base", "token": "c"}},
        "e": {"source": {"kind": "zero"}},
        "<new>": {"source": {"kind": "model_token", "model": "one", "token_id": 3}},
    }
    union = plan(models, "union", tokens=tokens, pad_to_multiple_of=6)
    assert union.tokens == ("[UNK]", "a", "b", "c", "d", "e", "<x>", "<new>")
    assert union.size == 12
    assert column(union, models, 0) == [10, 11, 12, 13, 13, 0, 45, 23] + [15.875] * 4
    assert column(union, models, 1) == [20, 22, 21, 13, 23, 0, 45, 23] + [20.875] * 4
    assert union.config_changes == {"vocab_size": 12}


def test_base_and_model_sources_have_mergekits_rows():
    models = three()
    base = plan(models, "base", pad_to_multiple_of=3)
    assert column(base, models, 1) == [20, 22, 21, 13, 19, 19]
    one = plan(models, "one")
    assert one.tokens == ("[UNK]", "b", "a", "d", "<x>")
    assert column(one, models, 0) == [10, 12, 11, 33, 34.5]


def test_maps_by_hand():
    union = plan(three(), "union", pad_to_multiple_of=8)
    which, row = union.row_map(0)
    assert which.tolist() == [0, 0, 0, 0, MEAN, 2, MEAN, AVERAGE]
    assert row[[0, 1, 2, 3, 5]].tolist() == [0, 1, 2, 3, 4]
    assert union.row_map(1)[0].tolist() == [1, 1, 1, 0, 1, 2, 1, AVERAGE]
    summary = union.summary()
    assert summary[0] == ("base", 4, 4, 3, "1 mean of all rows, 2 mean of the owners, 1 from two")
    assert [row.model for row in summary] == ["base", "one", "two"]


def test_defaults_ask_only_the_models_that_have_the_tensor():
    models = three()
    union = plan(models, "union")
    ref = models[0][NAME]
    got = union.wrap(0, ref, [ref, None, models[2][NAME]]).read().view(np.float32)[::2]
    assert got.tolist() == [10, 11, 12, 13, 43, 44, 45]
    alone = union.wrap(0, ref, [ref, None, None]).read().view(np.float32)[::2]
    assert alone.tolist() == [10, 11, 12, 13, 0, 0, 0]
    forced = plan(models, "union", tokens={"a": {"source": "two", "force": True}})
    with pytest.raises(CompatibilityError, match="'two', which lacks this tensor"):
        forced.wrap(0, ref, [ref, None, None])


def test_equal_vocabularies_cost_nothing():
    models = [Folder(label, 0, 3, words(["a", "b", "c"])) for label in ("x", "y")]
    union = plan(models, "union")
    refs = [m[NAME] for m in models]
    assert union.wrap(1, refs[1], refs) is refs[1]
    assert union.files == dict(models[0]._files)
    assert union.config_changes == {}


def test_spare_rows_are_kept():
    models = [Folder("x", 10, 5, words(["a", "b", "c"])), Folder("y", 20, 4, words(["b", "a", "c"]))]
    kept = plan(models, "base")
    assert kept.size == 5
    assert column(kept, models, 0) == [10, 11, 12, 13, 14]
    assert column(kept, models, 1) == [21, 20, 22, 23, 14]
    assert kept.config_changes == {}
    trimmed = plan(models, "base", pad_to_multiple_of=1)
    assert column(trimmed, models, 1) == [21, 20, 22]
    assert trimmed.config_changes == {"vocab_size": 3}


def test_union_uses_spare_rows_for_new_tokens():
    models = [Folder("x", 10, 6, words(["a", "b", "c"])), Folder("y", 20, 4, words(["a", "b", "c"], ["<x>"]))]
    union = plan(models, "union")
    assert union.tokens == ("a", "b", "c", "<x>")
    assert column(union, models, 0) == [10, 11, 12, 23, 14, 15]
    assert column(union, models, 1) == [20, 21, 22, 23, 14, 15]


def test_tokens_beyond_the_embedding_are_left_out():
    models = [
        Folder("x", 10, 3, words(["a", "b", "c"], ["<pad>"])),
        Folder("y", 20, 4, words(["a", "b", "c"], ["<pad>"])),
    ]
    base = plan(models, "base")
    assert base.tokens == ("a", "b", "c")
    assert json.loads(base.files["tokenizer.json"])["added_tokens"] == []
    union = plan(models, "union")
    assert union.tokens == ("a", "b", "c", "<pad>")
    assert column(union, models, 0) == [10, 11, 12, 23]


def test_ids_of_special_tokens_follow_the_tokens():
    files = words(["<s>", "a", "</s>"])
    models = [
        Folder("x", 10, 4, words(["a", "<s>", "</s>", "b"]), bos_token_id=1, eos_token_id=[2, 3], pad_token_id=None),
        Folder("y", 20, 3, files, bos_token_id=0, eos_token_id=2, image_token_id=5),
    ]
    models[0].config["text_config"] = {"vocab_size": 4, "pad_token_id": 1}
    other = plan(models, "y")
    # </s> stays 2; "b" (3) is gone, so that y's own value takes the place of the list
    assert other.config_changes == {
        "vocab_size": 3, "text_config.vocab_size": 3, "bos_token_id": 0, "eos_token_id": 2, "text_config.pad_token_id": 0,
    }  # fmt: skip
    assert other.patch_config(models[0].config)["text_config"] == {"vocab_size": 3, "pad_token_id": 0}
    donor = {
        "generation_config.json": b'{"bos_token_id": 1, "x": 1}',
        "tokenizer.json": b"old",
        "merges.txt": b"",
        "a": b"a",
    }
    changed = other.side_files(donor)
    assert json.loads(changed["generation_config.json"]) == {"bos_token_id": 0, "x": 1}
    assert changed["a"] == b"a" and "merges.txt" not in changed and changed["tokenizer.json"] == files["tokenizer.json"]


def byte_pairs(text: list[str], size: int, added: list[str] = ()) -> dict[str, bytes]:
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size, show_progress=False, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()
    )
    made.train_from_iterator(text, trainer)
    made.add_tokens([tokenizers.AddedToken(t, special=True, normalized=False) for t in added])
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "added_tokens_decoder": {}}
    for token in added:
        entry = {"content": token, "special": True, "normalized": False}
        config["added_tokens_decoder"][str(made.token_to_id(token))] = entry
    return {"tokenizer.json": made.to_str().encode(), "tokenizer_config.json": json.dumps(config).encode()}


def load(vocabulary: Vocabulary, folder):
    transformers = pytest.importorskip("transformers")
    for name, data in vocabulary.files.items():
        (folder / name).write_bytes(data)
    return transformers.AutoTokenizer.from_pretrained(str(folder))


def test_transformers_loads_the_union_of_byte_pairs_with_our_ids(tmp_path):
    one = byte_pairs(["the cat sat on the mat"] * 3, 270, ["<|end|>"])
    two = byte_pairs(["the dog ran"] * 3, 265, ["<|end|>", "<|start|>"])
    count = [len(tokenizers.Tokenizer.from_str(f["tokenizer.json"].decode()).get_vocab()) for f in (one, two)]
    models = [Folder("x", 0, count[0], one), Folder("y", 1000, count[1], two)]
    union = plan(models, "union")
    loaded = load(union, tmp_path)
    assert {t: i for i, t in enumerate(union.tokens)} == loaded.get_vocab()
    assert loaded.convert_tokens_to_ids(list(union.tokens)) == list(range(len(union.tokens)))
    before = tokenizers.Tokenizer.from_str(one["tokenizer.json"].decode())
    assert list(union.tokens[: count[0]]) == [before.id_to_token(i) for i in range(count[0])]
    ids = loaded("the cat<|start|>sat<|end|>", add_special_tokens=False)["input_ids"]
    assert loaded.convert_tokens_to_ids("<|start|>") in ids
    assert loaded.decode(ids) == "the cat<|start|>sat<|end|>"
    assert loaded.decode(ids, skip_special_tokens=True) == "the catsat"
    # every row of y that the union shows for y is the row of the same token in y
    theirs = tokenizers.Tokenizer.from_str(two["tokenizer.json"].decode()).get_vocab()
    for token, value in zip(union.tokens, column(union, models, 1), strict=True):
        assert value == (1000 + theirs[token] if token in theirs else union.tokens.index(token))
    config = json.loads(union.files["tokenizer_config.json"])
    assert config["added_tokens_decoder"][str(loaded.convert_tokens_to_ids("<|start|>"))]["special"] is True


def test_transformers_loads_the_union_of_words(tmp_path):
    union = plan(three(), "union", tokens={"<new>": {"source": {"kind": "zero"}}})
    loaded = load(union, tmp_path)
    assert loaded.get_vocab() == {t: i for i, t in enumerate(union.tokens)}
    assert loaded("a <x> c", add_special_tokens=False)["input_ids"] == [1, 6, 3]


def test_transformers_loads_a_tokenizer_without_unused_tokens(tmp_path):
    files = byte_pairs(["the cat sat on the mat"] * 3, 270, ["<|end|>"])
    models = [Folder("x", 0, 262, files), Folder("y", 0, 300, files)]
    base = plan(models, "base")
    assert base.size == 262
    loaded = load(base, tmp_path)
    assert loaded.get_vocab() == {t: i for i, t in enumerate(base.tokens)}
    assert loaded.decode(loaded("the cat sat", add_special_tokens=False)["input_ids"]) == "the cat sat"


def test_unigram_and_the_older_files_are_read(tmp_path):
    made = tokenizers.Tokenizer(tokenizers.models.Unigram([("<unk>", 0.0), ("a", -1.0), ("b", -2.0)], unk_id=0))
    unigram = {"tokenizer.json": made.to_str().encode()}
    bert = {"vocab.txt": b"[UNK]\na\n##b\n"}
    models = [Folder("u", 10, 3, unigram), Folder("w", 20, 3, bert)]
    union = plan(models, "union")
    assert union.tokens == ("<unk>", "a", "b", "[UNK]", "##b")
    assert column(union, models, 0) == [10, 11, 12, 20, 22]
    gpt2 = {"vocab.json": b'{"b": 1, "a": 0, "ab": 2}', "merges.txt": b"#version: 0.2\na b\n"}
    gpt2["tokenizer_config.json"] = b'{"tokenizer_class": "GPT2Tokenizer", "unk_token": "a", "eos_token": "a", "bos_token": "a"}'
    models = [Folder("g", 10, 4, {**gpt2, "added_tokens.json": b'{"<x>": 3}'}), Folder("h", 20, 2, words(["a", "<y>"]))]
    union = plan(models, "union")
    assert union.tokens == ("a", "b", "ab", "<x>", "<y>")
    assert json.loads(union.files["added_tokens.json"]) == {"<x>": 3, "<y>": 4}
    loaded = load(union, tmp_path)
    assert loaded.get_vocab() == {t: i for i, t in enumerate(union.tokens)}


def test_tokenizer_source_may_stand_outside_the_inputs():
    models = three()
    outside = Folder("else", 90, 3, words(["c", "a", "z"]))
    settings = TokenizerSettings.from_recipe("org/else", None)
    vocabulary = plan_vocabulary(settings, models, 0, 0, open_model={"org/else": outside}.__getitem__)
    assert vocabulary is not None
    assert column(vocabulary, models, 1) == [13, 22, 0]
    assert "'z'" in vocabulary.warnings[-1]


def test_a_model_without_tokenizer_shares_the_base_when_its_embedding_is_as_long():
    models = [Folder("x", 10, 3, words(["a", "b", "c"])), Folder("y", 20, 3, {}), Folder("z", 30, 2, words(["b", "a"]))]
    base = plan(models, "base")
    assert column(base, models, 1) == [20, 21, 22]
    assert base.warnings == ("model 'y' has no tokenizer; its rows are read with the tokenizer of 'x'",)
    with pytest.raises(CompatibilityError, match="model 'y': it has no tokenizer and 5 embedding rows, expected 3"):
        plan([models[0], Folder("y", 20, 5, {})], "base")
    with pytest.raises(CompatibilityError, match="model 'y': it has no tokenizer, expected"):
        plan([models[1], models[0]], "base")


def test_no_settings_no_vocabulary():
    assert TokenizerSettings.from_recipe(None, None) is None
    assert plan_vocabulary(None, three(), 0, 0) is None


def test_sentencepiece_alone_is_only_good_when_all_are_equal():
    models = [Folder("x", 10, 3, {"tokenizer.model": b"sp"}), Folder("y", 20, 3, {"tokenizer.model": b"sp"})]
    assert plan_vocabulary(TokenizerSettings("union"), models, 0, 0) is None
    with pytest.raises(CheckpointError, match="only tokenizer.model, expected tokenizer.json, and cannot be converted"):
        plan(models, "union", pad_to_multiple_of=8)
    with pytest.raises(CheckpointError, match="model 'y': its tokenizer is only tokenizer.model"):
        plan([three()[0], models[1]], "union")


@pytest.mark.parametrize(
    ("source", "tokenizer", "words"),
    [
        ("base", {"source": "base"}, "got both"),
        (3, None, "expected the name of a model, got 3"),
        (None, ["base"], "expected a mapping"),
        (None, {"sauce": "base"}, "did you mean 'source'"),
        (None, {"pad_to_multiple_of": -1}, "at least 0, got -1"),
        (None, {"pad_to_multiple_of": True}, "at least 0, got True"),
        (None, {"pad_to_multiple_of": "many"}, "at least 0, got 'many'"),
        (None, {"tokens": ["a"]}, "expected a mapping from token"),
        (None, {"tokens": {1: {}}}, "put it in quotes"),
        (None, {"tokens": {"a": {"force": True}}}, "force needs a source"),
        (None, {"tokens": {"a": {"force": "yes"}}}, "expected true or false"),
        (None, {"tokens": {"a": {"force": 2}}}, "expected true or false, got 2"),
        (None, {"tokens": {"a": {"force": None}}}, "expected true or false, got None"),
        (None, {"tokens": {"a": {"source": {"kind": "zeros"}}}}, "did you mean 'zero'"),
        (None, {"tokens": {"a": {"source": {"kind": "model_token", "model": "x"}}}}, "got neither"),
        (
            None,
            {"tokens": {"a": {"source": {"kind": "model_token", "model": "x", "token": "a", "token_id": 1}}}},
            "both",
        ),
        (None, {"tokens": {"a": {"source": {"kind": "model_token", "model": "x", "token_id": -1}}}}, "got -1"),
        (None, {"tokens": {"a": {"source": {"kind": "model_token", "token_id": 1}}}}, "name of a model, got None"),
    ],
)
def test_bad_settings_are_one_sentence(source, tokenizer, words):
    with pytest.raises(RecipeError, match=words) as caught:
        TokenizerSettings.from_recipe(source, tokenizer)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tokenizer", "expected"),
    [
        ({"pad_to_multiple_of": 0}, TokenizerSettings()),
        ({"pad_to_multiple_of": "0"}, TokenizerSettings()),
        ({"pad_to_multiple_of": "64"}, TokenizerSettings(pad_to_multiple_of=64)),
        ({"source": None, "tokens": None, "pad_to_multiple_of": None}, TokenizerSettings()),
        ({"tokens": {"a": None}}, TokenizerSettings(tokens={"a": TokenRow()})),
        ({"tokens": {"a": {"source": None}}}, TokenizerSettings(tokens={"a": TokenRow()})),
        ({"tokens": {"a": {"source": "x", "force": 1}}}, TokenizerSettings(tokens={"a": TokenRow("model", "x", force=True)})),
        ({"tokens": {"a": {"source": "x", "force": "True"}}}, TokenizerSettings(tokens={"a": TokenRow("model", "x", force=True)})),
        ({"tokens": {"a": {"source": "x", "force": "false"}}}, TokenizerSettings(tokens={"a": TokenRow("model", "x")})),
        (
            {"tokens": {"a": {"source": {"kind": "model_token", "model": "x", "token_id": "5"}}}},
            TokenizerSettings(tokens={"a": TokenRow("model_token", "x", token_id=5)}),
        ),
        ({"tokens": {"a": {"source": None, "force": 0}}}, TokenizerSettings(tokens={"a": TokenRow()})),
    ],
)
def test_what_mergekit_accepts(tokenizer, expected):
    assert TokenizerSettings.from_recipe(None, tokenizer) == expected


@pytest.mark.parametrize(("word", "meant"), [("unoin", "union"), ("Base", "base"), ("bse", "base")])
def test_a_misspelt_word_for_the_source_is_told(word, meant):
    def missing(label: str) -> Checkpoint:
        raise CheckpointError(f"model '{label}': does not exist; give a folder")

    with pytest.raises(RecipeError, match=f"tokenizer source '{word}': did you mean '{meant}'. otherwise, model '{word}': does not exist"):
        plan_vocabulary(TokenizerSettings(word), three(), 0, 0, open_model=missing)
    with pytest.raises(CheckpointError, match="^model 'org/other': does not exist; give a folder$"):
        plan_vocabulary(TokenizerSettings("org/other"), three(), 0, 0, open_model=missing)
    # a model of that name is taken
    named = plan_vocabulary(TokenizerSettings(word), three(), 0, 0, open_model={word: three()[1]}.__getitem__)
    assert named is not None and named.tokens == ("[UNK]", "b", "a", "d", "<x>")


@pytest.mark.parametrize(
    ("tokenizer", "words"),
    [
        ({"source": "thre"}, "unknown model 'thre'"),
        ({"tokens": {"a": {"source": "tow"}}}, "unknown model 'tow'; did you mean 'two'"),
        ({"tokens": {"<xx>": {}}}, "no model has this token; did you mean '<x>'"),
        ({"tokens": {"e": {"source": "one"}}}, "model 'one' has no row for token 'e'"),
        ({"tokens": {"e": {"source": {"kind": "model_token", "model": "one", "token": "f"}}}}, "no row for token 'f'"),
        ({"tokens": {"e": {"source": {"kind": "model_token", "model": "one", "token_id": 5}}}}, "has 5 rows, got 5"),
    ],
)
def test_sources_that_do_not_exist_are_one_sentence(tokenizer, words):
    with pytest.raises(RecipeError, match=words) as caught:
        plan(three(), **{"source": "union", **tokenizer})
    assert "\n" not in str(caught.value)


def test_damaged_tokenizers_are_named():
    for data in (
        b"{",
        b"[]",
        b'{"model": {}}',
        b'{"model": {"vocab": {"a": "b"}}}',
        b'{"model": {"vocab": {"a": -1}}}',
    ):
        with pytest.raises(CheckpointError, match="model 'x': tokenizer.json is not a tokenizer"):
            plan([Folder("x", 0, 2, {"tokenizer.json": data})], "base")


def test_wrap_refuses_a_tensor_of_another_length():
    models = three()
    refs = [m[NAME] for m in models]
    with pytest.raises(CompatibilityError, match="model 'one': .* is 4x2, expected 5 rows"):
        plan(models, "union").wrap(1, refs[0], refs)


def test_same_tokenizers():
    x, y, z = three()
    assert same_tokenizers([x, x, Folder("n", 0, 4, {})]) is None
    with pytest.raises(CompatibilityError, match="model 'one': its vocabulary differs from that of 'base'"):
        same_tokenizers([x, y, z])
    opaque = [Folder(c, 0, 3, {"tokenizer.model": c.encode()}) for c in "ab"]
    assert same_tokenizers([opaque[0], opaque[0]]) is None
    assert same_tokenizers(opaque) is not None
    # the same vocabulary in other words
    respelt = {"tokenizer.json": json.dumps(json.loads(x.side_file("tokenizer.json")), indent=4).encode()}
    assert same_tokenizers([x, Folder("w", 0, 4, respelt)]) is None


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("model.embed_tokens.weight", (9, 2), True),
        ("transformer.wte.weight", (9, 2), True),
        ("bert.embeddings.word_embeddings.weight", (9, 2), True),
        ("shared.weight", (9, 2), True),
        ("gpt_neox.embed_in.weight", (9, 2), True),
        ("embed_out.weight", (9, 2), True),
        ("lm_head.weight", (9, 2), True),
        ("lm_head.bias", (9,), True),
        ("lm_head.decoder.weight", (9, 2), True),
        ("cls.predictions.decoder.weight", (9, 2), True),
        ("cls.predictions.decoder.bias", (9,), True),
        ("cls.predictions.bias", (9,), True),
        ("vocab_projector.bias", (9,), True),
        ("output.weight", (9, 2), True),
        ("backbone.embeddings.weight", (9, 2), True),
        ("model.language_model.embed_tokens.weight", (9, 2), True),
        ("decoder.weight", (9, 2), True),
        ("decoder.bias", (9,), True),
        ("head.decoder.weight", (9, 2), True),
        ("lm_loss.weight", (9, 2), True),
        ("lm_loss.bias", (9,), True),
        ("pred_layer.proj.weight", (9, 2), True),
        ("pred_layer.proj.bias", (9,), True),
        ("output_projection.weight", (9, 2), True),
        ("model.decoder.output_projection.weight", (9, 2), True),
        ("transformer.w.weight", (9, 2), True),
        ("lm_head.out_proj.weight", (9, 2), True),
        ("final_logits_bias", (1, 9), True),
        ("model.language_model.embed_tokens_per_layer.weight", (9, 2), True),
        ("cpmant.input_embedding.weight", (9, 2), True),
        ("cls.predictions.dense.weight", (3, 9), True),
        ("model.layers.0.mlp.gate.tid2eid", (9, 6), True),
        ("final_logits_bias", (1, 8), False),
        ("final_logits_bias", (9, 9), False),
        ("lm_head.weight", (8, 2), False),
        ("lm_head.bias", (9, 2), False),
        ("lm_head.weight", (9,), False),
        ("model.encoder.decoder.weight", (9, 2), False),
        ("vae.decoder.bias", (9,), False),
        ("model.layers.0.attention.output.weight", (9, 9), False),
        ("model.layers.0.self_attn.output_projection.weight", (9, 9), False),
        ("model.layers.0.mlp.w.weight", (9, 9), False),
        ("model.layers.0.self_attn.out_proj.weight", (9, 9), False),
        ("cls.predictions.transform.dense.weight", (9, 9), False),
        ("model.layers.0.per_layer_projection.weight", (9, 9), False),
        ("lm_head.layer_norm.weight", (9,), False),
        ("model.layers.0.mlp.down_proj.weight", (9, 2), False),
        ("bert.embeddings.position_embeddings.weight", (9, 2), False),
        ("bert.encoder.layer.0.attention.output.dense.weight", (9, 2), False),
        ("model.decoder.embed_positions.weight", (9, 2), False),
        ("model.norm.weight", (9,), False),
    ],
)
def test_vocabulary_tensors_are_told_by_name_and_shape(name, shape, expected):
    assert is_vocabulary_tensor(name, shape, 9) is expected


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        ("language_model.lm_head.weight", 128_256, True),
        ("model.language_model.embed_tokens_per_layer.weight", 128_000, True),
        ("lm_head.weight", 32_000, False),
        ("vision_tower.head.weight", 128_256, False),
        ("decoder.weight", 128_256, False),
    ],
)
def test_heads_with_some_rows_less_than_the_embedding_are_not_merged_by_number(name, rows, expected):
    assert is_vocabulary_tensor(name, (rows, 2), 128_264) is expected


def with_more(label: str, first: float, files: dict[str, bytes], rows: int, **values: NDArray[np.float32]) -> Folder:
    model = Folder(label, first, rows, files)
    model._tensors |= {name.replace("__", "."): Memory(name.replace("__", "."), v.astype(np.float32)) for name, v in values.items()}
    return model


def test_a_bias_that_lies_on_its_side_is_aligned():
    def bias(first: float, rows: int) -> NDArray[np.float32]:
        return first + np.arange(rows, dtype=np.float32)[None]

    files = words(["a", "b"]), words(["b", "c", "a"]), words(["b", "d", "a", "e"])
    models = [with_more("xyz"[k], 0, f, 2 + k, final_logits_bias=bias(10 * (k + 1), 2 + k)) for k, f in enumerate(files)]
    union = plan(models, "union")
    refs = [model["final_logits_bias"] for model in models]
    assert all(is_vocabulary_tensor(ref.name, ref.shape, rows) for ref, rows in zip(refs, union.rows, strict=True))
    # widths differ, so that the builder passes the others as None
    alone = [[ref if k == j else None for j in range(3)] for k, ref in enumerate(refs)]
    wrapped = [union.wrap(k, refs[k], alone[k]) for k in range(3)]
    assert [ref.shape for ref in wrapped] == [(1, 5)] * 3
    rows = [ref.read().view(np.float32).tolist() for ref in wrapped]
    assert union.tokens == ("a", "b", "c", "d", "e")
    assert rows == [[10, 11, 21, 31, 33], [22, 20, 21, 31, 33], [32, 30, 21, 31, 33]]
    same = plan(models[:1], "union")
    assert same.wrap(0, refs[0], refs[:1]) is refs[0]


def test_a_head_with_other_rows_than_the_embedding_stays_or_is_refused():
    def model(label: str, names: list[str], head: int) -> Folder:
        return with_more(label, 0, words(names), len(names), lm_head__weight=np.zeros((head, 2)))

    names = [f"t{i}" for i in range(64)]
    alike = [model("x", names, 62), model("y", names, 62)]
    refs = [one["lm_head.weight"] for one in alike]
    union = plan(alike, "union")
    assert is_vocabulary_tensor("lm_head.weight", (62, 2), union.rows[0])
    assert union.wrap(1, refs[1], refs) is refs[1]
    moved = plan([alike[0], model("y", names[::-1], 62)], "union")
    with pytest.raises(CompatibilityError, match="lm_head.weight is 62x2, expected 64 rows as in its embedding; it cannot be aligned"):
        moved.wrap(1, refs[1], refs)
    column_wise = Memory("cls.predictions.dense.weight", np.zeros((3, 64), np.float32))
    assert union.wrap(1, column_wise, [None, column_wise]) is column_wise
    with pytest.raises(CompatibilityError, match="is 3x64, expected 64 rows"):
        moved.wrap(1, column_wise, [None, column_wise])


def test_sizes_in_the_config_follow_the_rows():
    config = {"text_config": {"vocab_size": 8, "vocab_size_per_layer_input": 8}, "vision_config": {"vocab_size": 8}}
    assert changed_size(config, 8, 9) == {"text_config.vocab_size": 9, "text_config.vocab_size_per_layer_input": 9}
    assert changed_size({"vocab_size": 8, "padded_vocab_size": 8, "n_words": 7}, 8, 9) == {"vocab_size": 9, "padded_vocab_size": 9}
    # an embedding that is longer than vocab_size by design
    assert changed_size({"text_config": {"vocab_size": 128_256}}, 128_264, 128_264) == {}


def test_embedding_rows_prefers_the_size_in_the_config():
    tensors = {n: Memory(n, np.zeros((k, 1), np.float32)) for n, k in (("a.embeddings.weight", 9), (NAME, 5))}
    assert embedding_rows(Checkpoint("x", tensors, config={"text_config": {"vocab_size": 5}})) == 5
    assert embedding_rows(Checkpoint("x", tensors)) == 9
    assert embedding_rows(Checkpoint("x", {}, config={"vocab_size": 3})) == 3
    assert embedding_rows(Checkpoint("x", {})) is None


def test_a_large_vocabulary_is_planned_quickly():
    vocab = {f"token{i}": i for i in range(100_000)}
    moved = {f"token{i}": i ^ 1 for i in range(100_000)}
    models = []
    for k in range(3):
        document = {"model": {"type": "BPE", "vocab": moved if k % 2 else vocab, "merges": []}, "added_tokens": []}
        document["version"] = str(k)
        models.append(Folder(f"m{k}", 0, 100_000, {"tokenizer.json": json.dumps(document).encode()}))
    started = time.process_time()
    union = plan(models, "union")
    ref = union.wrap(1, models[1][NAME], [m[NAME] for m in models])
    assert time.process_time() - started < 4
    assert ref.read(0, 8).view(np.float32).tolist() == [1, 1, 0, 0, 3, 3, 2, 2]
    assert union.row_map(1)[0].max() == 1 and ZERO not in union.row_map(0)[0]


def chat(template: str, roles: str, **kwargs: bool) -> str:
    """What transformers makes of one message a letter: s, u, a."""
    transformers = pytest.importorskip("transformers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<s>": 0, "</s>": 1}, unk_token="<s>"))
    loaded = transformers.PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>")
    names = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    messages = [{"role": names[role], "content": f"{role}{k}"} for k, role in enumerate(roles)]
    text: str = loaded.apply_chat_template(messages, chat_template=TEMPLATES[template], tokenize=False, **kwargs)
    return text


def test_named_chat_templates_are_those_of_their_families():
    assert chat("mistral", "uau") == "<s> [INST] u0 [/INST] a1</s> [INST] u2 [/INST]"
    assert chat("mistral", "sua", add_generation_prompt=True) == "<s> [INST] s0\n\nu1 [/INST] a2</s>"
    assert chat("chatml", "su", add_generation_prompt=True) == (
        "<|im_start|>system\ns0<|im_end|>\n<|im_start|>user\nu1<|im_end|>\n<|im_start|>assistant\n"
    )
    assert chat("llama3", "u", add_generation_prompt=True) == (
        "<s><|start_header_id|>user<|end_header_id|>\n\nu0<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    assert chat("exaone", "sua") == "[|system|]s0[|endofturn|]\n[|user|]u1\n[|assistant|]a2[|endofturn|]\n"


@pytest.mark.parametrize("roles", ["uu", "a", "sa", "usu", "uaa", "ssu", "t", "ut"])
def test_mistrals_template_refuses_other_orders_of_roles(roles):
    jinja2 = pytest.importorskip("jinja2")
    with pytest.raises(jinja2.TemplateError, match="expected user and assistant in turn after at most one system message, got"):
        chat("mistral", roles)


def test_a_chat_template_beside_a_damaged_config_is_one_sentence():
    with pytest.raises(CheckpointError, match="tokenizer_config.json: is not valid JSON"):
        with_chat_template({"tokenizer_config.json": b"no"}, "{{ x }}")
