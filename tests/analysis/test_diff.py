"""Sums by hand and against NumPy; pieces add up; what cannot be compared is listed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from modelweave.analysis import walk
from modelweave.analysis.diff import Sums, as_dict, compare
from modelweave.analysis.diff_figure import draw_diff, grid, short_names
from modelweave.analysis.walk import kind_of
from modelweave.checkpoints.layers import find_layout
from modelweave.checkpoints.open import open_checkpoint
from modelweave.checkpoints.tensors import Checkpoint, TensorRef
from modelweave.errors import CompatibilityError, MissingExtraError, OutputError


def model(label="model", **tensors):
    return open_checkpoint({name.replace("__", "."): np.asarray(v, np.float32) for name, v in tensors.items()}, label=label)


def test_by_hand():
    base, a, b = model(w=[1, 1, 1, 1, 1]), model(w=[2, 1, 0, 3, 1]), model(w=[0, 2, 0, 4, 1])
    sums = compare(a, b, base).total.sums
    # u = 1 0 -1 2 0, v = -1 1 -1 3 0
    assert (sums.count, sums.aa, sums.bb, sums.dd, sums.changed) == (5, 15, 21, 6, 3)
    assert (sums.uu, sums.vv, sums.uv) == (6, 12, 6)
    assert (sums.both, sums.conflicts, sums.changed_a, sums.changed_b) == (3, 1, 3, 4)
    assert (sums.relative, sums.cosine, sums.conflict_share) == pytest.approx((np.sqrt(6 / 15), 6 / np.sqrt(72), 1 / 3))


def test_pieces_add_up(monkeypatch):
    chance = np.random.default_rng(0)
    base, a, b = (model(w=chance.normal(size=(37, 11))) for _ in range(3))
    whole = compare(a, b, base).total.sums
    monkeypatch.setattr(walk, "CHUNK", 10)
    seen = []
    pieces = compare(a, b, base, progress=lambda done, total: seen.append((done, total))).total.sums
    for name in Sums.__dataclass_fields__:
        assert getattr(pieces, name) == pytest.approx(getattr(whole, name), rel=1e-12)
    assert seen[-1] == (3 * 37 * 11 * 4,) * 2 and len(seen) == 41
    u, v = (np.float64(x["w"].tensor).ravel() - np.float64(base["w"].tensor).ravel() for x in (a, b))
    assert whole.cosine == pytest.approx(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    assert whole.conflicts == np.count_nonzero(np.sign(u) * np.sign(v) < 0)


# the bytes of the same values in each type: 1, 1.5, -2, 0 and -1, 1.5, 2, 0.25
CODES = {
    "BF16": ([0x3F80, 0x3FC0, 0xC000, 0x0000], [0xBF80, 0x3FC0, 0x4000, 0x3E80]),
    "F16": ([0x3C00, 0x3E00, 0xC000, 0x0000], [0xBC00, 0x3E00, 0x4000, 0x3400]),
}


class Coded(TensorRef):
    def __init__(self, codes, dtype):
        super().__init__("w", (len(codes),), dtype)
        self.data = np.array(codes, np.uint16).view(np.uint8)

    def read_into(self, start, out):
        out[:] = self.data[2 * start : 2 * start + out.size]


@pytest.mark.parametrize("dtype", CODES)
def test_half_width_types_by_hand(dtype):
    a, b = (Checkpoint(label, {"w": Coded(codes, dtype)}) for label, codes in zip("ab", CODES[dtype], strict=True))
    base = model(w=[1, 1, 1, 0])
    sums = compare(a, b, base).total.sums
    # u = 0 0.5 -3 0, v = -2 0.5 1 0.25
    assert (sums.aa, sums.bb, sums.dd, sums.changed) == (7.25, 7.3125, 20.0625, 3)
    assert (sums.uu, sums.vv, sums.uv) == (9.25, 5.3125, -2.75)
    assert (sums.both, sums.conflicts, sums.changed_a, sums.changed_b) == (2, 1, 2, 4)


def test_half_width_values_are_summed_in_float64():
    # 2^20 times 2^-24 squared and one 1: float32 would keep only the one
    a = model(w=np.r_[1, np.full(1 << 20, 2.0**-24)])
    assert compare(a, a).total.sums.aa == 1 + 2.0**-28


def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    monkeypatch.setattr(walk, "CHUNK", 64)
    chance = np.random.default_rng(1)
    base, a, b = (model(**{f"h__{i}__w": chance.normal(size=(31, 9)) for i in range(6)}) for _ in range(3))
    seen = []
    one = compare(a, b, base, threads=1)
    assert one == compare(a, b, base, threads=5, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen) and seen[-1] == (3 * 6 * 31 * 9 * 4,) * 2


def layered(value, layers=3):
    tensors = {"embed.weight": np.full((2, 2), value, np.float32)}
    for i in range(layers):
        tensors |= {f"h.{i}.up.weight": np.full(4, value * (i + 1), np.float32), f"h.{i}.up.bias": np.full(1, value, np.float32)}
    return open_checkpoint(tensors, label="layered")


def test_rows_by_layer_and_kind():
    found = compare(layered(1.0), layered(2.0))
    assert [(row.layer, row.kind, row.tensors) for row in found.groups] == [(None, "embed", 1), (0, "up", 2), (1, "up", 2), (2, "up", 2)]
    assert [(row.layer, row.sums.count) for row in found.by_layer()] == [(0, 5), (1, 5), (2, 5), (None, 4)]
    assert [(row.kind, row.tensors, row.sums.dd) for row in found.by_kind()] == [("embed", 1, 4), ("up", 6, 4 * (1 + 4 + 9) + 3)]
    assert found.total.sums.count == 19


def test_equal_and_zero():
    same = compare(model(w=[1, 2]), model(w=[1, 2]), model(w=[1, 2])).total.sums
    assert (same.relative, same.cosine, same.conflict_share, same.changed) == (0, None, None, 0)
    assert compare(model(w=[0, 0]), model(w=[1, 0])).total.sums.relative == np.inf


def test_not_a_number_is_no_warning_and_no_json_error():
    found = compare(model(w=[np.inf, 1]), model(w=[np.inf, np.nan]))
    assert np.isnan(found.total.sums.dd)
    json.dumps(as_dict(found))


def test_what_is_not_compared():
    a = open_checkpoint(
        {"w": np.ones(2), "only": np.ones(1), "n": np.ones(1, np.int64), "s": np.ones((2, 3)), "new": np.ones(1)}, label="a"
    )
    b = open_checkpoint(
        {"w": np.ones(2), "n": np.ones(1, np.int64), "s": np.ones((3, 3)), "other": np.ones(1), "new": np.ones(1)}, label="b"
    )
    base = open_checkpoint({"w": np.ones(2), "n": np.ones(1), "s": np.ones((3, 3))}, label="base")
    found = compare(a, b, base)
    assert [row.kind for row in found.groups] == ["w"]
    assert found.skipped == {
        "only": "only in 'a'",
        "other": "only in 'b'",
        "n": "not floating point but I64",
        "s": "shapes differ: 2x3, 3x3, 3x3",
        "new": "not in the base 'base'",
    }
    with pytest.raises(CompatibilityError, match="no tensor of one name and shape"):
        compare(model(w=[1]), model(v=[1]))


def test_a_tied_head_is_compared_with_one_that_is_stored():
    tied = model(embed=[1, 2])
    tied.aliases = {"head": "embed"}
    found = compare(tied, model(embed=[1, 2], head=[1, 3]))
    assert {row.kind: row.sums.changed for row in found.groups} == {"embed": 0, "head": 1} and not found.skipped


def test_kinds():
    names = [f"{side}.block.{i}.attn.k.weight" for side in ("encoder", "decoder") for i in range(2)] + ["norm.weight", "bias"]
    layout = find_layout(names)
    assert [kind_of(name, layout) for name in names[1:3]] == ["encoder.block.*.attn.k", "decoder.block.*.attn.k"]
    assert [kind_of(name, layout) for name in names[-2:]] == ["norm", "bias"]


def test_the_grid():
    kinds, columns, values = grid(compare(layered(1.0), layered(3.0)), "relative")
    assert kinds == ["embed", "up"] and columns == ["-", "0", "1", "2"]
    np.testing.assert_array_equal(np.isnan(values), [[False, True, True, True], [True, False, False, False]])
    assert values[0, 0] == 2


@pytest.mark.parametrize("base", [None, layered(0.5)])
@pytest.mark.parametrize("b", [layered(2.0), layered(1.0)])
def test_the_figure(base, b, tmp_path):
    found = compare(layered(1.0), b, base)
    draw_diff(found, tmp_path / "d.png")
    assert (tmp_path / "d.png").stat().st_size > 1000
    with pytest.raises(OutputError, match="cannot be written"):
        draw_diff(found, tmp_path / "d.nonsense")


def drawn(monkeypatch, labels):
    figures = []
    monkeypatch.setattr("modelweave.analysis.diff_figure.save_figure", lambda figure, file: figures.append(figure))
    draw_diff(compare(layered(1.0), layered(2.0)), "d.png", labels)
    figures[0].draw_without_rendering()
    return figures[0]


def test_the_figure_says_which_model_is_which(monkeypatch):
    figure = drawn(monkeypatch, ("runs/one", "runs/two$3$/"))
    assert figure.get_suptitle() == r"A = one, B = two\$3\$"
    assert drawn(monkeypatch, ()).get_suptitle() == ""
    wide = drawn(monkeypatch, ("x/" + "a-Wide-name-" * 9, "x/" + "My-Model-" * 9))
    assert wide._suptitle.get_window_extent().width <= wide.bbox.width


def test_names_that_are_cut_have_an_ellipsis_and_names_that_are_alike_their_folders():
    assert short_names(["a/one", "a/two"], 9) == ["one", "two"]
    assert short_names(["a/last", "b/last"], 9) == ["a/last", "b/last"]
    assert short_names(["0123456789", "/"], 9) == ["…23456789", "/"]
    assert short_names(["same", "same"], 9) == ["same", "same"]
    assert short_names(["a\x1b[1m"], 9) == ["a?[1m"]


def test_without_matplotlib(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"modelweave\[plot\]"):
        draw_diff(compare(model(w=[1]), model(w=[2])), tmp_path / "d.png")
