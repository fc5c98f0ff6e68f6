import sys
import types as python_types

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from modelweave.errors import CheckpointError, ParameterError
from modelweave.outputs.text_table.column_types import ColumnTypes, column_types
from modelweave.outputs.text_table.members import Boosting, ExtraTrees, LinearModel
from modelweave.outputs.text_table.named import DEFAULT, choose
from modelweave.outputs.text_table.network_member import Network
from modelweave.outputs.text_table.published import MEMBERS

from .made import CHEAP, made

TABLE, Y = made()
TYPES = column_types(TABLE)
STRANGE = pd.DataFrame({"size": [None, 1e30, 0.0], "shop": ["west", None, "north"], "said": ["unheard of", None, "good good bad"]})


def cheap(kind, **more):
    options = {Boosting: CHEAP["gbm"], ExtraTrees: CHEAP["extra_trees"], LinearModel: {}, Network: CHEAP["network"]}[kind]
    return kind(**{"types": TYPES, **options, **more})


@pytest.mark.parametrize("kind", [Boosting, ExtraTrees, LinearModel, Network])
def test_each_member_learns_repeats_itself_and_takes_what_it_has_not_seen(kind):
    table, y = made(400, seed=1)
    options = {"epochs": 12, "width": 16, "rate": 5e-3, "batch": 32} if kind is Network else {}
    model = clone(cheap(kind, **options)).fit(table, y)
    new, y_new = made(300, seed=2)
    p = model.predict_proba(new)
    assert roc_auc_score(y_new, p[:, 1]) > 0.75
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(model.predict(new), p.argmax(axis=1))
    np.testing.assert_array_equal(clone(model).fit(table, y).predict_proba(new), p)
    np.testing.assert_allclose(model.predict_proba(STRANGE).sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("kind", [Boosting, ExtraTrees, LinearModel, Network])
def test_numbers_are_predicted_in_their_own_units(kind):
    random = np.random.default_rng(0)
    table = pd.DataFrame({"x": random.uniform(-1, 1, 300)})
    y = 1000 + 50 * table["x"].to_numpy()
    options = {"epochs": 30, "width": 16, "rate": 1e-2} if kind is Network else {"rounds": 100} if kind is Boosting else {}
    model = cheap(kind, types=ColumnTypes(("x",)), classification=False, **options).fit(table, y)
    assert np.sqrt(np.mean((model.predict(table) - y) ** 2)) < 8


@pytest.mark.parametrize("kind", [Boosting, ExtraTrees, LinearModel, Network])
def test_rows_without_weight_do_not_teach(kind):
    table, y = made(200)
    doubled = pd.concat([table, table], ignore_index=True)
    weight = np.r_[np.ones(200), np.zeros(200)]
    # the second half says the opposite
    model = cheap(kind, **({"epochs": 15, "rate": 1e-2} if kind is Network else {})).fit(doubled, np.r_[y, 1 - y], sample_weight=weight)
    assert roc_auc_score(y, model.predict_proba(table)[:, 1]) > 0.7


def test_a_network_leaves_the_global_state_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    cheap(Network).fit(TABLE, Y)
    assert torch.equal(torch.get_rng_state(), before)


def test_checks_keep_groups_whole_and_lie_behind_in_time():
    network = cheap(Network, checks=4)
    network.classes_ = np.arange(2)
    groups = np.arange(120) // 10
    learn, check = network._parts(Y, groups, None)
    assert len(check) and not set(groups[learn]) & set(groups[check])
    moments = np.random.default_rng(0).permutation(120)
    learn, check = network._parts(Y, None, moments)
    assert moments[learn].max() < moments[check].min()
    few, none = network._parts(Y[:10], None, None)
    assert len(few) == 10 and not len(none)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random BERT of two layers and its tokenizer."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    path = tmp_path_factory.mktemp("encoder")
    words = sorted({word for text in TABLE["said"].dropna() for word in text.split()})
    vocabulary = path / "words.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    BertTokenizerFast(str(vocabulary)).save_pretrained(path)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        BertModel(BertConfig(vocab_size=len(words) + 5, max_position_embeddings=64, **sizes)).save_pretrained(path)
    return path


@pytest.mark.parametrize("fusion", ["late", "early", "all_text"])
def test_an_encoder_from_a_folder(folder, fusion):
    model = Network(TYPES, fusion=fusion, encoder=folder, epochs=2, longest=32, width=8).fit(TABLE, Y)
    p = model.predict_proba(STRANGE)
    assert p.shape == (3, 2) and p.min() >= 0
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    from modelweave.outputs.text_table.network import rates

    found = {id(q): group["lr"] for group in rates(model.network_, 1.0, 0.8) for q in group["params"]}
    steps = {"head.weight": 0, "text.model.encoder.layer.1.output.dense.weight": 1, "text.model.encoder.layer.0.output.dense.weight": 2}
    steps["text.model.embeddings.word_embeddings.weight"] = 3
    named = dict(model.network_.named_parameters())
    for name, step in steps.items():
        assert found[id(named[name])] == pytest.approx(0.8**step)


def test_a_folder_without_an_encoder(tmp_path):
    with pytest.raises(CheckpointError, match=f"encoder {tmp_path}.*"):
        Network(TYPES, encoder=tmp_path).fit(TABLE, Y)


def test_frozen_vectors_are_the_encoders_own(folder):
    from transformers import AutoModel, AutoTokenizer

    row = choose("gbm_pre_embedding", TYPES, classification=True, encoder=folder, options={"gbm_pre_embedding": CHEAP["gbm"]})[0]
    model = row.estimator.fit(TABLE, Y)
    texts = ["good w1", "bad"]
    batch = AutoTokenizer.from_pretrained(folder)(texts, return_tensors="pt", padding=True)
    with torch.inference_mode():
        expected = AutoModel.from_pretrained(folder).eval()(**batch).last_hidden_state[:, 0]
    new = pd.DataFrame({"size": [1.0, 2.0], "shop": ["north", "south"], "said": texts})
    found = model.features_.transform(new)
    np.testing.assert_allclose(found[:, 2:], expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(model.predict_proba(STRANGE).sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(("name", "width"), [("gbm_text_embedding", 8), ("gbm_multimodal_embedding", 24)])
def test_vectors_of_a_trained_network_go_to_trees(name, width):
    options = {name: {**CHEAP["gbm"], "network": {**CHEAP["network"], "epochs": 6}}}
    model = choose(name, TYPES, classification=True, options=options)[0].estimator
    table, y = made(300, seed=3)
    model.fit(table, y, sample_weight=np.ones(300), groups=np.arange(300) // 2)
    features = model.features_.transform(TABLE)
    # size, shop, then the vector: of the text, or of text, numbers and categories
    assert features.shape == (120, 2 + width)
    np.testing.assert_allclose(features[:, 2:], model.features_.fitted.vectors(TABLE), rtol=1e-6)
    assert roc_auc_score(Y, model.predict_proba(TABLE)[:, 1]) > 0.6


def test_frozen_vectors_need_an_encoder():
    with pytest.raises(ParameterError, match="give the folder of one"):
        choose("gbm_pre_embedding", TYPES, classification=True)[0].estimator.fit(TABLE, Y)


def test_lightgbm_is_used_where_it_is(monkeypatch):
    given = {}

    class Fake:
        def __init__(self, **options):
            given.update(options)

        def fit(self, X, y, sample_weight=None, categorical_feature=()):
            given["categorical"] = categorical_feature
            self.classes_ = np.unique(y)
            return self

    fake = python_types.ModuleType("lightgbm")
    fake.LGBMClassifier = fake.LGBMRegressor = Fake
    monkeypatch.setitem(sys.modules, "lightgbm", fake)
    Boosting(TYPES, engine="lightgbm", rounds=7, leaves=5).fit(TABLE, Y)
    assert given["n_estimators"] == 7 and given["num_leaves"] == 5 and given["categorical"] == [1]


def test_what_a_table_has_no_columns_for_is_left_out():
    names = [member.name for member in choose(None, TYPES, classification=True)]
    assert tuple(names) == DEFAULT
    numeric = ColumnTypes(("x",))
    assert [m.name for m in choose(None, numeric, classification=True)] == ["gbm", "extra_trees", "linear", "network"]
    assert [m.name for m in choose(["gbm_tabular", "linear"], ColumnTypes(text=("t",)), classification=True)] == ["linear"]
    with pytest.raises(ParameterError, match="none of network_text has columns"):
        choose("network_text", numeric, classification=True)


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["gmb"], None, "did you mean 'gbm'"),
        (["gbm"], {"gmb": {}}, "unknown member 'gmb'"),
        (["gbm"], {"gbm": {"round": 1}}, "unknown option 'round'; did you mean 'rounds'"),
    ],
)
def test_unknown_words(names, options, message):
    with pytest.raises(ParameterError, match=message):
        choose(names, TYPES, classification=True, options=options)


@pytest.mark.parametrize(("member", "message"), [(Boosting(TYPES, engine="xgb"), "engine"), (Network(TYPES, fusion="mid"), "fusion")])
def test_unknown_choices(member, message):
    with pytest.raises(ParameterError, match=message):
        member.fit(TABLE, Y)


def test_every_row_can_be_made():
    for name in MEMBERS:
        member = choose(name, TYPES, classification=True)[0].estimator
        assert clone(member).get_params().keys() == member.get_params().keys()
