"""Stage by stage as the whole network, bit for bit; what a network's stages own; cuts and joints."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from modelweave.errors import CompatibilityError
from modelweave.networks import NetworkLayout, seeded, stages_of

from .unet_stand_in import UNet


class Residual(nn.Module):
    """A residual network of one's own."""

    def __init__(self, depth: int = 3, between: bool = False) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(4, 6), nn.Linear(6, 2)
        self.blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 6), nn.GELU()) for _ in range(depth))
        self.norm, self.between = nn.LayerNorm(6), between

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x) if self.between else block(x)
        return self.head(self.norm(x))


class Convolutions(nn.Module):
    """Two lists of blocks of different widths, as ResNets have them."""

    def __init__(self) -> None:
        super().__init__()
        conv = lambda a, b, stride: nn.Conv2d(a, b, 3, padding=1, stride=stride)  # noqa: E731
        self.stem = nn.Sequential(conv(1, 4, 1), nn.ReLU())
        self.layer1 = nn.Sequential(conv(4, 4, 1), conv(4, 4, 1))
        self.layer2 = nn.Sequential(conv(4, 8, 2), conv(8, 8, 1))
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        return self.fc(self.layer2(self.layer1(self.stem(x))).mean((2, 3)))


def whole(stages, network) -> bool:
    """Whether the stages' states make the network's, each tensor once."""
    names = [name for place in range(len(stages)) for name in stages.state(place)]
    return sorted(names) == sorted(network.state_dict())


def make(kind, *inputs) -> nn.Module:
    with seeded(0):
        return kind(*inputs)


X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))


def test_networks_of_one_s_own():
    images = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for network, x, names, shapes in (
        (
            make(nn.Sequential, nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)),
            X,
            ["0", "1", "2"],
            [("batch", 3), ("batch", 3), ("batch", 2)],
        ),
        (make(Residual), X, ["before", "blocks.0", "blocks.1", "blocks.2", "after"], [("batch", 6)] * 5),
        (
            make(Convolutions),
            images,
            ["before", "layer1.0", "layer1.1", "layer2.0", "layer2.1", "after"],
            [("batch", 4, 8, 8)] * 3 + [("batch", 8, 4, 4)] * 3,
        ),
    ):
        stages = stages_of(network, example=x)
        assert [stage.name for stage in stages] == names
        assert [stage.shape for stage in stages] == shapes
        assert torch.equal(stages(x), network(x)) and whole(stages, network)
        assert not any("forward" in vars(module) for module in network.modules())


def test_gradients_are_the_network_s():
    network = make(Residual)
    stages = stages_of(network, example=X)
    network(X).square().mean().backward()
    expected = [value.grad.clone() for value in network.parameters()]
    network.zero_grad()
    stages(X).square().mean().backward()
    assert all(torch.equal(value.grad, wanted) for value, wanted in zip(network.parameters(), expected, strict=True))


def test_a_joint_of_two_networks():
    small, large = make(Residual, 2), make(Residual, 4)
    front, back = stages_of(small, example=X), stages_of(large, example=X)
    cut = front.run(front.start(X), 0, 2).hidden  # stem and one block
    joined = back.run(back.run(back.start(X), 0, 1).with_hidden(cut), 3).output  # from the third block on
    assert torch.equal(cut, small.blocks[0](small.stem(X)))
    assert torch.equal(joined, large.head(large.norm(large.blocks[3](large.blocks[2](cut)))))
    assert {id(value) for value in front.parameters(1)} == {id(value) for value in small.blocks[0].parameters()}
    assert front.state(-1).keys() == {"head.weight", "head.bias", "norm.weight", "norm.bias"}


def test_what_is_no_chain_is_refused():
    network = make(Residual, 3, True)
    with pytest.raises(CompatibilityError, match="between 'blocks.0' and 'blocks.1' the network does more than hand a tensor on"):
        stages_of(network, example=X)
    with pytest.raises(CompatibilityError, match="has no list of blocks"):
        stages_of(nn.Bilinear(1, 1, 1))
    with pytest.raises(CompatibilityError, match="give an example, or a layout"):
        stages_of(network)
    with pytest.raises(CompatibilityError, match="no module 'block'; name one of stem, head, blocks, norm"):
        stages_of(network, layout=NetworkLayout(("block",)))
    with pytest.raises(CompatibilityError, match=r"'(stem|head|norm)\.\w+' belongs to no stage"):
        stages_of(network, layout=NetworkLayout(("blocks",)))
    wrong = NetworkLayout(("blocks",), ("stem",), ("norm", "head"), ("batch", 7))
    with pytest.raises(CompatibilityError, match=r"stage 'before': gives the shape \(5, 6\), expected \('batch', 7\)"):
        stages_of(make(Residual), layout=wrong, example=X)


HUGGING_FACE = {
    "LlamaForCausalLM": "llama",
    "LlamaModel": "llama",
    "Qwen3ForCausalLM": "llama",
    "MistralForSequenceClassification": "llama",
    "Gemma2ForCausalLM": "llama",
    "BertForMaskedLM": "bert",
    "BertForSequenceClassification": "bert",
    "RobertaForTokenClassification": "bert",
    "GPT2LMHeadModel": "gpt2",
    "ViTForImageClassification": "vit",
    "ViTModel": "vit",
    "DeiTForImageClassification": "vit",
}


@pytest.mark.parametrize("word", HUGGING_FACE)
def test_hugging_face(word):
    pytest.importorskip("transformers")
    from .tiny import IMAGES, MASK, TOKENS, tiny

    network = tiny(word)
    if HUGGING_FACE[word] == "vit":
        inputs = [{"pixel_values": IMAGES}]
        tokens = 18 if word.startswith("DeiT") else 17
    else:
        inputs = [{"input_ids": TOKENS}, {"input_ids": TOKENS, "attention_mask": MASK}]
        tokens = 7
    stages = stages_of(network, example=inputs[0])
    assert len(stages) == 5 and {stage.shape for stage in stages} == {("batch", "tokens", 32)}
    assert stages.shapes(**inputs[0]) == [(3, tokens, 32)] * 5
    assert whole(stages, network)
    for given in inputs:
        with torch.no_grad():
            found, expected = stages(**given), network(**given)
        assert type(found) is type(expected) and found.keys() >= {"logits"} & expected.keys()
        assert torch.equal(found[0], expected[0])
        # one beginning serves two routes
        flow = stages.run(stages.start(**given), 0, 2)
        assert torch.equal(stages.run(flow, 2).output[0], stages.run(flow, 2).output[0])


def test_hidden_tensors_are_those_that_transformers_tells():
    pytest.importorskip("transformers")
    from .tiny import TOKENS, tiny

    network = tiny("BertForMaskedLM")
    told = network(TOKENS, output_hidden_states=True).hidden_states
    stages, flow = stages_of(network), None
    for place, hidden in enumerate(told):
        flow = stages.run(stages.start(TOKENS) if flow is None else flow, place, place + 1)
        assert torch.equal(flow.hidden, hidden)


@pytest.mark.parametrize("size", [8, 7])
def test_a_unet(size):
    network = make(UNet)
    generator = torch.Generator().manual_seed(0)
    inputs = (
        torch.randn(2, 3, size, size, generator=generator),
        torch.rand(2, generator=generator),
        torch.randn(2, 5, 6, generator=generator),
    )
    stages = stages_of(network, example=inputs)
    assert len(stages) == 1 + 5 + 1 + 6 + 1 and whole(stages, network)
    assert [stage.name for stage in stages][:5] == [
        "conv_in",
        "down_blocks.0.0",
        "down_blocks.0.1",
        "down_blocks.0.downsamplers.0",
        "down_blocks.1.0",
    ]
    assert torch.equal(stages(*inputs), network(*inputs))
    assert stages[7].shape == ("batch", 8, 4, 4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [16, 12])
def test_the_unet_of_diffusers(size):
    diffusers = pytest.importorskip("diffusers")
    with seeded(0):
        network = diffusers.UNet2DConditionModel(
            sample_size=size,
            block_out_channels=(32, 64, 64),
            layers_per_block=2,
            cross_attention_dim=16,
            attention_head_dim=8,
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        ).eval()
    x, t, words = torch.randn(2, 4, size + 1, size + 1), torch.tensor([3, 40]), torch.randn(2, 5, 16)
    stages = stages_of(network, example=(x, t, words))
    with torch.no_grad():
        assert torch.equal(stages(x, t, words), network(x, t, words).sample)
    assert whole(stages, network) and len(stages) == 1 + 8 + 1 + 9 + 1
