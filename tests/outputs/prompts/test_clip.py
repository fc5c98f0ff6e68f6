"""Embeddings of a tiny CLIP with random weights and a tokenizer of single letters."""

from __future__ import annotations

import string
from typing import Any

import numpy as np
import pytest
import torch

from modelweave.errors import CompatibilityError, ParameterError
from modelweave.outputs.prompts.clip import clip_embeddings, embed_images, embed_texts, logit_scale
from modelweave.outputs.prompts.prompt_weights import prompt_weights

transformers = pytest.importorskip("transformers")
pytest.importorskip("PIL")

TEMPLATES = ["a photo of a {}.", "{}", "art of the {}, a sketch of the {}."]
CLASSES = ["cat", "dog", "sea eel"]
TOWER = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


class Processor:
    """What a CLIPProcessor holds."""

    def __init__(self, image_processor: Any, tokenizer: Any) -> None:
        self.image_processor, self.tokenizer = image_processor, tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    letters = list(string.ascii_lowercase + ".,")
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return transformers.CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=[])


@pytest.fixture(scope="module")
def image_processor() -> Any:
    kind = getattr(transformers, "CLIPImageProcessorPil", None) or transformers.CLIPImageProcessor
    return kind(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    text = {**TOWER, **ids, "vocab_size": len(tokenizer), "max_position_embeddings": 40, "attention_dropout": 0.5}
    vision = {**TOWER, "image_size": 16, "patch_size": 8, "attention_dropout": 0.5}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=12))


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (5, 20, 24, 3), dtype=np.uint8))


def test_they_are_what_the_model_itself_says(model: Any, tokenizer: Any, image_processor: Any, images: list[Any]) -> None:
    found = clip_embeddings(model, Processor(image_processor, tokenizer), images, TEMPLATES, CLASSES, batch_size=2)
    assert found.images.shape == (5, 12) and found.texts.shape == (3, 3, 12) and found.images.dtype == found.texts.dtype == np.float32
    assert np.linalg.norm(found.texts, axis=-1) == pytest.approx(1, abs=1e-6)
    model.eval()
    for p, template in enumerate(TEMPLATES):
        texts = [template.replace("{}", name) for name in CLASSES]
        inputs = dict(tokenizer(texts, padding=True, return_tensors="pt"))
        inputs["pixel_values"] = image_processor(images=images, return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            wanted = model(**inputs).logits_per_image
        assert found.scale * found.images @ found.texts[p].T == pytest.approx(wanted.numpy(), abs=1e-4)


def test_batches_do_not_matter(model: Any, tokenizer: Any, image_processor: Any, images: list[Any]) -> None:
    texts = [embed_texts(model, tokenizer, TEMPLATES, CLASSES, batch_size=size) for size in (1, 4, 64)]
    assert texts[0] == pytest.approx(texts[1], abs=1e-5) and texts[0] == pytest.approx(texts[2], abs=1e-5)
    seen = [embed_images(model, image_processor, (image for image in images), batch_size=size) for size in (1, 3, 64)]
    assert seen[0] == pytest.approx(seen[1], abs=1e-5) and seen[0] == pytest.approx(seen[2], abs=1e-5)


def test_pil_images_and_an_image_processor_with_a_tokenizer(model: Any, tokenizer: Any, image_processor: Any, images: list[Any]) -> None:
    from PIL import Image

    found = clip_embeddings(model, image_processor, map(Image.fromarray, images), TEMPLATES, CLASSES, tokenizer=tokenizer)
    assert found.images == pytest.approx(embed_images(model, image_processor, images), abs=1e-6)


def test_the_model_is_asked_without_dropout_and_left_as_it_was(model: Any, tokenizer: Any) -> None:
    model.train()
    model.text_model.eval()
    before = [module.training for module in model.modules()]
    one, other = (embed_texts(model, tokenizer, TEMPLATES, CLASSES) for _ in range(2))
    assert one.tolist() == other.tolist() and [module.training for module in model.modules()] == before
    model.eval()


def test_scale() -> None:
    class Model:
        logit_scale = torch.nn.Parameter(torch.tensor(4.6052))

    assert logit_scale(Model()) == pytest.approx(100, abs=0.01)


def test_texts_that_are_too_long_are_cut(model: Any, tokenizer: Any) -> None:
    assert embed_texts(model, tokenizer, ["{}"], ["a" * 100]).shape == (1, 1, 12)


def test_a_model_of_half_precision(model: Any, tokenizer: Any, image_processor: Any, images: list[Any]) -> None:
    import copy

    half = copy.deepcopy(model).bfloat16()
    found = clip_embeddings(half, Processor(image_processor, tokenizer), images, TEMPLATES, CLASSES)
    assert found.images.dtype == np.float32
    assert found.images == pytest.approx(embed_images(model, image_processor, images), abs=0.05)


def test_from_images_to_predictions(model: Any, tokenizer: Any, image_processor: Any, images: list[Any]) -> None:
    found = clip_embeddings(model, Processor(image_processor, tokenizer), images, TEMPLATES, CLASSES)
    weighted = prompt_weights(*found)
    assert weighted.scale == found.scale == pytest.approx(logit_scale(model))
    assert weighted.weights.shape == (3,) and weighted.logits(found.images).shape == (5, 3)


def test_bad_inputs(model: Any, tokenizer: Any, image_processor: Any, images: list[Any]) -> None:
    for templates, names in (([], CLASSES), (TEMPLATES, []), ("a {}", CLASSES), (TEMPLATES, "cat")):
        with pytest.raises(ParameterError, match="lists with at least one"):
            embed_texts(model, tokenizer, templates, names)
    with pytest.raises(ParameterError, match="'a photo' has no"):
        embed_texts(model, tokenizer, ["{}", "a photo"], CLASSES)
    with pytest.raises(ParameterError, match="no tokenizer"):
        clip_embeddings(model, image_processor, images, TEMPLATES, CLASSES)
    with pytest.raises(ParameterError, match="batch_size"):
        embed_images(model, image_processor, images, batch_size=0)
    with pytest.raises(CompatibilityError, match="nothing to embed"):
        embed_images(model, image_processor, [])
