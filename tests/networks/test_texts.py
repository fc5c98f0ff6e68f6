"""Rows of tokens, counted by hand."""

from __future__ import annotations

import pytest

from modelweave.errors import InputError, ParameterError
from modelweave.networks import read_texts, token_rows


class Letters:
    """A tokenizer of letters: a is 1, b is 2."""

    pad_token_id, eos_token_id = 0, 9

    def __call__(self, text):
        return {"input_ids": [ord(letter) - 96 for letter in text]}


def test_a_row_a_text():
    found = token_rows(["ab", "abcd", ""], Letters(), length=3)
    assert found["input_ids"].tolist() == [[1, 2, 0], [1, 2, 3], [0, 0, 0]]
    assert found["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1], [0, 0, 0]]
    assert found["labels"].tolist() == [[1, 2, -100], [1, 2, 3], [-100] * 3]


def test_packed():
    found = token_rows(["ab", "c", "de"], Letters(), length=3, pack=True)
    assert found["input_ids"].tolist() == [[1, 2, 9], [3, 9, 4]] and found["labels"].tolist() == found["input_ids"].tolist()
    with pytest.raises(InputError, match="have 3 tokens, expected 4 at least"):
        token_rows(["ab"], Letters(), length=4, pack=True)


def test_files(tmp_path):
    file = tmp_path / "t.jsonl"
    file.write_text('{"text": "ab"}\n\n{"text": "c", "n": 1}\n')
    assert list(read_texts(file)) == ["ab", "c"]
    for line, words in (("nothing", "line 2: is no JSON"), ('{"n": 1}', "line 2: expected an object with a text under 'text', got n")):
        file.write_text('{"text": "ab"}\n' + line)
        with pytest.raises(InputError, match=words):
            list(read_texts(file))
    with pytest.raises(InputError, match="cannot be read"):
        list(read_texts(tmp_path / "none"))
    with pytest.raises(InputError, match="there are none"):
        token_rows([], Letters(), length=3)
    with pytest.raises(ParameterError, match="at least 1 token, got 0"):
        token_rows(["a"], Letters(), length=0)
