"""What may be given as data, in which order it comes, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from modelweave.errors import CompatibilityError, ParameterError
from modelweave.networks import Batches

X, Y = torch.arange(10.0).reshape(5, 2), torch.arange(5)


class Columns:
    """What a Hugging Face dataset offers."""

    column_names = ("text", "label", "tokens")

    def __init__(self) -> None:
        self.rows = {"text": list("abcde"), "label": [0, 1, 0, 1, 1], "tokens": [[1, 2], [3, 4], [5, 6], [7, 8], [9]]}

    def __len__(self) -> int:
        return 5

    def __getitem__(self, rows):
        return {name: [column[i] for i in rows] for name, column in self.rows.items()}


def test_columns_rows_and_datasets():
    first = next(iter(Batches((X, np.arange(5)), size=2)))
    assert torch.equal(first[0], X[:2]) and first[1].tolist() == [0, 1]
    assert next(iter(Batches({"x": X, "name": list("abcde")}, size=3)))["name"] == ["a", "b", "c"]
    assert torch.equal(next(iter(Batches(X.numpy(), size=4))), X[:4])
    x, y = next(iter(Batches([(X[i], i) for i in range(5)], size=2)))
    assert torch.equal(x, X[:2]) and y.tolist() == [0, 1]
    assert [len(part) for part in Batches([[1], [1, 2], [3]], size=2, collate=list)] == [2, 1]
    found = list(Batches(Columns(), size=4))
    assert found[0]["text"] == ["a", "b", "c", "d"] and found[0]["label"].tolist() == [0, 1, 0, 1]
    assert found[0]["tokens"].tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert len(list(Batches(TensorDataset(X, Y), size=2))) == 3


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("size", "lengths"), [(2, [2, 2, 1]), (5, [5]), (9, [5])])
def test_lengths(size, lengths, drop_last):
    batches = Batches(Y, size=size, drop_last=drop_last)
    kept = lengths[:-1] if drop_last and lengths[-1] == 1 else lengths
    assert [len(batch) for batch in batches] == kept
    assert (len(batches), batches.rows) == (len(kept), 5)


def test_each_pass_has_the_order_that_its_seed_and_number_say():
    generator = torch.Generator().manual_seed(3)
    orders = [torch.randperm(5, generator=generator).tolist() for _ in range(4)]
    batches = Batches(Y, size=9, shuffle=True, seed=3)
    assert [next(iter(batches)).tolist() for _ in range(4)] == orders
    assert [next(batches.epoch(k)).tolist() for k in (2, 0, 3, 1)] == [orders[k] for k in (2, 0, 3, 1)]
    assert torch.cat(list(Batches(Y, size=2, shuffle=True, seed=3).epoch(1, start=1))).tolist() == orders[1][2:]
    assert next(iter(batches.in_order())).tolist() == [0, 1, 2, 3, 4]
    numpy = np.random.default_rng(0)
    drawn = Batches(Y, size=9, shuffle=np.random.default_rng(0))
    assert [next(iter(drawn)).tolist() for _ in range(2)] == [numpy.permutation(5).tolist() for _ in range(2)]


def test_what_makes_its_own_batches():
    loader = DataLoader(TensorDataset(X, Y), batch_size=2)
    assert [y.tolist() for _, y in Batches(loader)] == [[0, 1], [2, 3], [4]]
    assert len(Batches(loader)) == 3

    def passes():
        yield from (X, X + 1)

    batches = Batches(passes)
    assert batches.count is None and len(list(batches)) == len(list(batches)) == 2
    with pytest.raises(TypeError, match="not known"):
        len(batches)
    once = Batches(iter([X]))
    assert len(list(once)) == 1
    with pytest.raises(CompatibilityError, match="a list_iterator can be read once.*give a function that makes it"):
        next(iter(once))


def test_a_hash_is_that_of_the_content():
    whole = Batches((X, Y)).hash()
    assert whole == Batches((X.numpy(), Y.numpy()), size=2, shuffle=True, seed=9).hash()
    assert whole != Batches((X + 1, Y)).hash() and whole != Batches((X, Y.float())).hash()
    assert Batches(Columns()).hash() == Batches(Columns(), size=1).hash()
    assert Batches.drawn(lambda: X).hash() is None and Batches(iter([X])).hash() is None
    loader = DataLoader(TensorDataset(X, Y), batch_size=2)
    before = torch.get_rng_state()
    assert Batches(loader).hash() == Batches(loader).hash()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("data", "options", "error", "words"),
    [
        ((X, Y[:3]), {}, CompatibilityError, r"batches\[0\] has 5, batches\[1\] has 3 rows, expected as many in each"),
        ((X, 3), {}, CompatibilityError, r"batches\[1\]: a int without rows"),
        (X[:0], {}, CompatibilityError, "has no rows"),
        (3, {}, CompatibilityError, "cannot read int"),
        (np.array(["a"]), {}, CompatibilityError, "expected numbers; encode it first"),
        (X, {"size": 0}, ParameterError, "at least 1, got 0"),
        (iter([X]), {"size": 2}, ParameterError, "makes its own batches"),
    ],
)
def test_refusals(data, options, error, words):
    with pytest.raises(error, match=words):
        Batches(data, **options)
