"""What is loaded answers as what was saved; what does not fit is refused by name."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from torch import nn

from modelweave.errors import CheckpointError, CompatibilityError, ParameterError, UnsafeFileError
from modelweave.networks import evaluating, load

pytest.importorskip("transformers")
from .tiny import IMAGES, TOKENS, tiny

CASES = {
    "LlamaForCausalLM": "causal_lm",
    "BertForMaskedLM": "masked_lm",
    "BertForSequenceClassification": "sequence_classification",
    "GPT2LMHeadModel": "causal_lm",
    "ViTForImageClassification": "image_classification",
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Word to (network, folder), each made once."""
    made = {}

    def of(word, **options):
        key = word + json.dumps(options)
        if key not in made:
            folder = tmp_path_factory.mktemp(word)
            made[key] = tiny(word, **options), folder
            made[key][0].save_pretrained(folder)
        return made[key]

    return of


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("word", CASES)
def test_a_folder_answers_as_what_was_saved(saved, word):
    network, folder = saved(word)
    inputs = IMAGES if word.startswith("ViT") else TOKENS
    before = torch.get_rng_state()
    for kind in (None, CASES[word]):
        found = load(folder, kind=kind)
        assert type(found.network) is type(network) and not found.network.training
        assert torch.equal(found.network(inputs).logits, network(inputs).logits)
        assert (found.left_out, found.fresh, found.tokenizer) == ((), (), None)
    assert torch.equal(before, torch.get_rng_state())
    assert load(folder, dtype=torch.bfloat16).network.dtype == torch.bfloat16


def test_tied_heads_and_the_base_without_its_head(saved):
    network, folder = saved("LlamaForCausalLM", tie_word_embeddings=True)
    found = load(folder).network
    assert found.lm_head.weight is found.model.embed_tokens.weight
    assert torch.equal(found(TOKENS).logits, network(TOKENS).logits)
    network, folder = saved("BertForSequenceClassification")
    base = load(folder, kind="base")
    assert base.left_out == ("classifier.bias", "classifier.weight")
    assert torch.equal(base.network(TOKENS).pooler_output, network.bert(TOKENS).pooler_output)


def test_missing_and_left_over_tensors_are_refused_by_name(saved):
    _, folder = saved("BertForMaskedLM")
    with pytest.raises(CompatibilityError, match="lacks 'bert.pooler.dense.bias' and 3 more.*allow="):
        load(folder, kind="sequence_classification")
    found = load(folder, kind="sequence_classification", allow=["bert.pooler", "classifier", "cls"])
    assert found.fresh == ("bert.pooler.dense.bias", "bert.pooler.dense.weight", "classifier.bias", "classifier.weight")
    with pytest.raises(CompatibilityError, match="no place in the network for 'cls"):
        load(folder, kind="sequence_classification", allow=["bert.pooler", "classifier"])


def test_what_cannot_be_built_is_refused(saved, tmp_path):
    network, folder = saved("LlamaForCausalLM")
    with pytest.raises(CompatibilityError, match="transformers has no masked_lm of the model_type 'llama'"):
        load(folder, kind="masked_lm")
    with pytest.raises(ParameterError, match="unknown kind 'causal'; did you mean 'causal_lm'"):
        load(folder, kind="causal")
    for change, words in (
        ({"model_type": "lama"}, "knows no model_type 'lama'"),
        ({"architectures": ["Path"]}, "names 'Path', no network"),
        ({"hidden_size": 16}, "'lm_head.weight' has the shape"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**json.loads((folder / "config.json").read_text()), **change}))
        (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
        with pytest.raises(CompatibilityError, match=words):
            load(tmp_path)
    with pytest.raises(CheckpointError, match="has no config.json; give a module with into="):
        load(folder / "model.safetensors")
    with pytest.raises(ParameterError, match="a module is a network already"):
        load(network, kind="base")


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_a_file_of_weights_into_a_module(tmp_path, ending):
    from safetensors.torch import save_file

    def fresh():
        net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3, bias=False))
        net[2].weight = net[0].weight  # tied
        return net

    first, second = fresh(), fresh()
    state = {name: value for name, value in first.state_dict().items() if name != "2.weight"}
    save_file(state, tmp_path / "w.safetensors") if ending == ".safetensors" else torch.save(first.state_dict(), tmp_path / "w.pt")
    found = load(tmp_path / f"w{ending}", into=second, dtype=torch.float64)
    assert found.network is second and second[2].weight is second[0].weight and second[0].weight.dtype == torch.float64
    assert all(torch.equal(value, second.state_dict()[name].to(value.dtype)) for name, value in first.state_dict().items())
    with pytest.raises(CompatibilityError, match=r"no place in the network for '1\."):
        load(tmp_path / f"w{ending}", into=nn.Sequential(nn.Linear(3, 3)))
    with pytest.raises(CompatibilityError, match="lacks '3.weight' and 1 more"):
        load(tmp_path / f"w{ending}", into=nn.Sequential(*fresh(), nn.Linear(1, 1)))
    with pytest.raises(CompatibilityError, match=r"'0.weight' has the shape \(3, 3\), expected \(3, 4\)"):
        load(tmp_path / f"w{ending}", into=nn.Sequential(nn.Linear(4, 3), *fresh()[1:]))


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    (tmp_path / "w.bin").write_bytes(pickle.dumps({"weight": print}, protocol=2))
    with pytest.raises((UnsafeFileError, CheckpointError)):
        load(tmp_path / "w.bin", into=nn.Linear(1, 1))


def test_modules_come_back_as_they_are():
    net = nn.Linear(1, 1)
    assert load(net).network is net and load(net).checkpoint is None
    assert load(net, dtype=torch.float64).network.weight.dtype == torch.float64


@pytest.mark.filterwarnings("ignore")
def test_adapters_merged_and_beside(saved, tmp_path):
    peft = pytest.importorskip("peft")
    _, folder = saved("LlamaForCausalLM")
    tuned = peft.get_peft_model(load(folder).network, peft.LoraConfig(r=2, target_modules=["q_proj", "up_proj"], task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, value in tuned.named_parameters():
            if "lora_" in name:
                value.normal_(std=0.1, generator=torch.Generator().manual_seed(len(name)))
    tuned.save_pretrained(tmp_path)
    with evaluating(tuned):
        expected = tuned(TOKENS).logits
    merged = load(f"{folder}+{tmp_path}").network
    assert type(merged).__name__ == "LlamaForCausalLM"
    assert torch.allclose(merged(TOKENS).logits, expected, atol=1e-5)
    live = load(folder, adapter=tmp_path).network
    assert torch.equal(live(TOKENS).logits, expected)
    assert {name for name, value in live.named_parameters() if value.requires_grad} == {
        n for n, _ in live.named_parameters() if "lora_" in n
    }
    with pytest.raises(CheckpointError, match="adapter 'nowhere/here': does not load"):
        load(folder, adapter="nowhere/here")


@pytest.mark.filterwarnings("ignore")
def test_the_tokenizer_beside_the_weights(saved, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "a": 2, "b": 3}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    words = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]")
    network, _ = saved("LlamaForCausalLM")
    network.save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    found = load(tmp_path)
    assert found.tokenizer("a b c")["input_ids"] == [2, 3, 1] and found.tokenizer.name_or_path == str(tmp_path)
    assert load(tmp_path, tokenizer=False).tokenizer is None
