"""Tables within a width, in Markdown and in HTML."""

from __future__ import annotations

import pytest

from modelweave.text.tables import as_html, as_lines, as_markdown

NAMES = ("embed_tokens", "layers.*.self_attn.q_proj", "layers.*.post_attention_layernorm", "norm")
PLAN = [
    (f"model.{name}.weight", layers, shape, "BF16", "ties", "math, code over the base", size, "")
    for name, layers, shape, size in zip(
        NAMES, ("-", "0-29", "0-29", "-"), ("49152x576", "576x576", "576", "576"), ("56.6 MB", "19.9 MB", "34.6 kB", "1.15 kB"), strict=True
    )
]
HEAD = ("output", "layers", "shape", "dtype", "method", "from", "bytes", "note")


def test_without_a_width_everything_stands_in_one_line_but_empty_columns() -> None:
    lines = as_lines(HEAD, PLAN, title="plan")
    assert lines[0] == "plan" and len(lines) == 6 and "note" not in lines[1]
    assert lines[2].split() == [
        "model.embed_tokens.weight",
        "-",
        "49152x576",
        "BF16",
        "ties",
        *["math,", "code", "over", "the", "base"],
        "56.6",
        "MB",
    ]


def test_what_all_rows_share_is_said_once_where_there_is_no_room() -> None:
    assert as_lines(HEAD, PLAN, width=70) == [
        "every row: dtype BF16; method ties; from math, code over the base;",
        "  output begins with model., ends with .weight",
        "output                             layers  shape        bytes",
        "-------------------------------------------------------------",
        "embed_tokens                       -       49152x576  56.6 MB",
        "layers.*.self_attn.q_proj          0-29    576x576    19.9 MB",
        "layers.*.post_attention_layernorm  0-29    576        34.6 kB",
        "norm                               -       576        1.15 kB",
    ]


def test_where_there_is_room_nothing_is_moved() -> None:
    assert as_lines(HEAD, PLAN, width=200)[2].startswith("model.embed_tokens.weight ")


def test_names_are_broken_at_dots_and_words_at_blanks() -> None:
    rows = [("model.embed_tokens.weight", "a copy of the first"), ("lm_head", "b")]
    assert as_lines(("tensor", "why"), rows, width=34) == [
        "tensor            why",
        "----------------------------------",
        "model.            a copy of the",
        "embed_tokens.     first",
        "weight",
        "lm_head           b",
    ]


def test_a_word_without_a_seam_is_broken_where_it_must() -> None:
    lines = as_lines(("a", "b"), [("x" * 20, "one_long_name_of_many_words"), ("y", "z")], width=36)
    assert lines[2:4] == ["x" * 17 + "  one_long_name_of_", "x" * 3 + " " * 16 + "many_words"]


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_columns_without_room_stand_in_blocks_that_repeat_the_first_words(width: int) -> None:
    numbers = [[f"{row}.{place:06}" for place in range(12)] for row in range(2)]
    head = ["layer", "module", *(f"share of {place}" for place in range(12))]
    rows = [["outside", "model.embed_tokens.of.a.long.name", *numbers[0]], ["1", "b", *numbers[1]]]
    lines = as_lines(head, rows, title="wide", width=width)
    assert max(map(len, lines)) <= width and lines[0] == "wide" and lines.count("wide") == 1
    words = " ".join(lines).split()
    assert all(words.count(number) == 1 for row in numbers for number in row)
    assert words.count("layer") == words.count("module") > 1


def test_a_number_is_never_broken() -> None:
    row = [f"{i}.2345678" for i in range(20)]
    assert {*row} <= set(" ".join(as_lines([f"c{i}" for i in range(20)], [row], width=8)).split())


def test_constant_columns_of_no_number_say_nothing() -> None:
    rows = [("a", "-", "x" * 30), ("b", "-", "y" * 30)]
    assert as_lines(("name", "layers", "word"), rows, width=37)[0] == "name  word"


@pytest.mark.parametrize("cell", ["1,234", "-0.5", "1e-05", "inf", "13.5 GB", "80 %", "1.2 s", "-", "+0.1 to 0.3"])
def test_numbers_are_aligned_to_the_right(cell: str) -> None:
    assert as_lines(("number",), [(cell,), ("1",)])[1] == cell.rjust(6)


@pytest.mark.parametrize("cell", ["0-3", "2x2", "a 1", "1 or more", "required", "v1.2", "+0.1 -0.2"])
def test_words_are_aligned_to_the_left(cell: str) -> None:
    assert as_lines(("a long heading",), [(cell,), ("1",)])[2] == "1"


def test_wide_and_combining_letters_take_their_places() -> None:
    assert as_lines(("name", "b"), [("模型", "x"), ("e\u0301", "y")]) == ["name  b", "模型  x", "e\u0301     y"]


def test_a_table_without_rows_is_its_headings() -> None:
    assert as_lines(("a", "b"), []) == ["a  b"] and as_lines(("a", "b"), [], width=80) == ["a  b", "----"]


def test_markdown_and_html_escape_what_they_would_obey() -> None:
    assert as_markdown(("a", "n"), [("x|y", 1), ("z", 2.5)]) == "| a | n |\n|---|---:|\n| x\\|y | 1 |\n| z | 2.5 |\n"
    page = as_html(("<a>", "n"), [("&", "1")])
    assert "<th>&lt;a&gt;</th>" in page and '<td>&amp;</td><td class="number">1</td>' in page
