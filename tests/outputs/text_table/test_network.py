import numpy as np
import pandas as pd
import pytest
import torch

from modelweave.outputs.predictions.metrics import METRICS
from modelweave.outputs.text_table import training
from modelweave.outputs.text_table.column_types import ColumnTypes
from modelweave.outputs.text_table.network import AttentionBlock, FusionNetwork, SmallEncoder, rates
from modelweave.outputs.text_table.network_inputs import CLS, SEP, UNKNOWN, InputEncoder, Inputs, Words
from modelweave.outputs.text_table.training import Schedule, outputs_of, train


def test_a_block_is_what_torch_calls_multi_head_attention():
    torch.manual_seed(0)
    block = AttentionBlock(8, 2, 0.0).double()
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    mask = torch.arange(5) < torch.tensor([[5], [3], [1]])
    peer = torch.nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        peer.in_proj_weight.copy_(torch.cat([block.ask.weight, block.offer.weight]))
        peer.in_proj_bias.copy_(torch.cat([block.ask.bias, block.offer.bias]))
        peer.out_proj.load_state_dict(block.out.state_dict())
        normal = block.before_attention(x)
        seen, _ = peer(normal, normal, normal, key_padding_mask=~mask)
        middle = x + seen
        expected = middle + block.down(torch.nn.functional.gelu(block.up(block.before_mlp(middle))))
        torch.testing.assert_close(block(x, mask), expected)
        torch.testing.assert_close(block(x, mask, first=True), expected[:, :1])


def test_filling_up_changes_nothing():
    torch.manual_seed(0)
    encoder = SmallEncoder(20, width=8, heads=2).eval()
    tokens, mask = torch.tensor([[2, 5, 6]]), torch.ones(1, 3, dtype=torch.bool)
    longer = torch.tensor([[2, 5, 6, 0, 0]])
    torch.testing.assert_close(encoder(tokens, mask), encoder(longer, longer > 0))


def test_words_are_ranked_cut_and_split():
    words = Words([["b a b 42", None or ""], ["a not", "b!"]])
    # b three times, a twice; all else once, which is unknown
    assert words.numbers == {"b": SEP + 1, "a": SEP + 2}
    b, a = SEP + 1, SEP + 2
    assert words.encode([["a b c"], ["B"]], longest=9) == [[CLS, a, b, UNKNOWN, SEP, b, SEP]]
    # 5 places: the start, and for each of two columns one word and a separator
    assert words.encode([["a b c"], ["b a"]], longest=5) == [[CLS, a, SEP, b, SEP]]


TABLE = pd.DataFrame({"n": [1.0, 2.0, None, 4.0], "c": ["a", "b", "a", None], "t": ["x y z", "x y", None, "x z z"]})
TYPES = ColumnTypes(("n",), ("c",), ("t",))


def test_inputs_of_each_fusion():
    late = InputEncoder(TYPES).fit(TABLE)
    found = late.transform(pd.DataFrame({"n": [None], "c": ["new"], "t": ["y x what"]}))
    x, z, y = (late.tokens.numbers[word] for word in "xzy")
    assert found.tokens.tolist() == [[CLS, y, x, UNKNOWN, SEP]] and z
    assert found.numbers.tolist() == [[0.0, 1.0]] and found.codes.tolist() == [[0]]
    printed = InputEncoder(TYPES, fusion="all_text").fit(TABLE)
    assert printed._texts(TABLE)[1:] == [["n 1", "n 2", "", "n 4"], ["c a", "c b", "c a", ""]]
    assert printed.transform(TABLE).numbers.shape == (4, 0) and printed.level_counts == ()


@pytest.mark.parametrize("fusion", ["late", "early", "all_text"])
@pytest.mark.parametrize("types", [TYPES, ColumnTypes(numeric=("n",)), ColumnTypes(text=("t",)), ColumnTypes(categorical=("c",))])
def test_each_fusion_takes_any_columns_and_every_column_counts(fusion, types):
    torch.manual_seed(0)
    inputs = InputEncoder(types, fusion=fusion).fit(TABLE)
    text = SmallEncoder(len(inputs.tokens) if inputs.tokens else 4, width=8, heads=2) if inputs.tokens or fusion != "late" else None
    network = FusionNetwork(text, fusion, inputs.scale.width, inputs.level_counts, 3, width=8)
    out = outputs_of(network, inputs.transform(TABLE))
    assert out.shape == (4, 3) and np.isfinite(out).all()
    for name, value in (("n", 3.0), ("c", "b"), ("t", "y y y")):
        other = outputs_of(network, inputs.transform(TABLE.assign(**{name: value})))
        assert (other != out).any() == (name in types.all and not (fusion == "all_text" and name != "t" and not known(inputs, name)))
    assert outputs_of(network, inputs.transform(TABLE), vectors=True).shape[0] == 4


def known(inputs, name):
    """Whether a change of the column changes tokens: words that occur once are unknown, and so alike."""
    return not torch.equal(inputs.transform(TABLE).tokens, inputs.transform(TABLE.assign(**{name: 3.0 if name == "n" else "b"})).tokens)


def test_rates_fall_from_the_head_down():
    network = FusionNetwork(SmallEncoder(9, width=8, depth=2, heads=2), "late", 1, (), 1, width=8)
    groups = rates(network, 1.0, 0.8)
    found = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert len(found) == len(list(network.parameters()))
    expected = {"head.weight": 1.0, "text.norm.weight": 1.0, "text.layers.1.ask.weight": 0.8, "text.layers.0.ask.weight": 0.64}
    expected["text.words.weight"] = 0.8**3
    for name, parameter in network.named_parameters():
        if name in expected:
            assert found[id(parameter)] == pytest.approx(expected[name])


def line(rows, seed=0):
    x = np.random.default_rng(seed).standard_normal((rows, 1)).astype(np.float32)
    empty = torch.zeros(rows, 0, dtype=torch.long)
    return Inputs(torch.full((rows, 1), CLS), torch.ones(rows, 1, dtype=torch.bool), torch.from_numpy(x), empty), x[:, 0].astype(np.float64)


def test_the_end_is_the_mean_of_the_best_checkpoints(monkeypatch):
    inputs, y = line(60)
    states, given = [], iter([0.5, 0.2, 0.9, 0.1, 0.3])

    def checked(network, *args, **named):
        states.append({name: value.clone() for name, value in network.state_dict().items()})
        return next(given)

    monkeypatch.setattr(training, "_checked", checked)
    torch.manual_seed(0)
    network = FusionNetwork(None, "late", 1, (), 1, width=4)
    losses = train(network, inputs, y, None, np.arange(40), np.arange(40, 60), METRICS["rmse"], Schedule(epochs=5, kept=3))
    assert losses == [0.5, 0.2, 0.9, 0.1, 0.3]
    for name, value in network.state_dict().items():
        expected = sum(states[k][name].double() for k in (1, 3, 4)) / 3
        torch.testing.assert_close(value.double(), expected, rtol=0, atol=1e-6)


def test_a_line_is_learnt_and_weights_count():
    inputs, x = line(200)
    y = np.where(np.arange(200) % 2, x, -x)
    weight = np.where(np.arange(200) % 2, 1.0, 0.0)
    torch.manual_seed(0)
    network = FusionNetwork(None, "late", 1, (), 1, width=16, dropout=0.0)
    schedule = Schedule(epochs=30, batch=20, rate=1e-2)
    train(network, inputs, y, weight, np.arange(160), np.arange(160, 200), METRICS["rmse"], schedule)
    # half of the rows say the opposite, and weigh nothing
    assert np.sqrt(np.mean((outputs_of(network, inputs)[:, 0] - x) ** 2)) < 0.2
