"""What to try first with several fine-tunes of one base, from their weights alone, with reasons and a recipe.

The order of what to try is a table (RULES), fitted on seeds 0 to 2 of two suites of the study: digits with two, four and eight experts, and
MNIST with five. The study in the documentation measures it on other seeds and on a language model. No data is looked at, so it is
a place to start, not a verdict: compare the result with the members on data of your own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from ..analysis.interference import Interference, Meeting, interfere
from ..catalog import METHODS
from ..checkpoints.open import open_checkpoint
from ..checkpoints.tensors import Checkpoint
from ..errors import CompatibilityError, ModelweaveError
from ..recipes.language.tokenizer_settings import TokenizerSettings
from ..recipes.tokenizer.vocabulary import embedding_rows, plan_vocabulary, same_tokenizers
from ..text.words import counted, fixed
from ..text.yaml_writer import write_yaml

FAR = 0.3
"""Relative change of a layer beyond which fine-tunes seldom share a code any more."""
ALIKE = ((0.5, "agree"), (0.2, "agree in part"), (-0.2, "are nearly unrelated"), (-2.0, "are opposed"))
"""Above which mean cosine of changes what is said of them."""
PARALLEL = 0.9995
"""Cosine of the weights beyond which SLERP and the straight line are the same."""


@dataclass(frozen=True)
class Facts:
    """What the rules look at.

    Attributes:
        members: how many change anything.
        cosine: mean over pairs of task vectors.
        conflicts: mean over pairs of the share of entries that both change, in opposite directions.
        relative: the largest change of a member in a layer, over the base's norm.
        alike: a lower bound of the least cosine between two members' weights.
        kept: what a mean keeps of the members' norm.
        matrices: whether the base has a matrix.
    """

    members: int
    cosine: float
    conflicts: float
    relative: float
    alike: float
    kept: float
    matrices: bool


@dataclass(frozen=True)
class Choice:
    """A method to try, with the parameters to start from and why."""

    method: str
    options: Mapping[str, Any]
    reason: str


@dataclass(frozen=True)
class Case:
    """holds: whether the choices are the first to try, in this order. words: when that is, for the reader."""

    words: str
    holds: Callable[[Facts], bool]
    choices: tuple[Choice, ...]


_TSV = Choice("tsv_m", {}, "keeps the leading directions of every member and makes them orthogonal, so that none is diluted")
_CORE = Choice("core_space", {}, "does as tsv_m within the directions that any member uses at all")
_TIES = Choice("ties", {"density": 0.2}, "drops small changes and lets signs vote, so that what remains keeps its size")
_OPCM = Choice("opcm", {"alpha": 0.3}, "removes from each member what the others say already, and keeps the members' mean norm")
_SCE = Choice("sce", {"select_topk": 0.2}, "keeps the places where members differ most, each weighted by its energy")
_SUM = Choice("task_arithmetic", {"scale": 0.4}, "the plain sum, made smaller; tune its scale where there is data")
_MEAN = Choice("linear", {}, "the mean of the weights")

RULES: tuple[Case, ...] = (
    Case("they agree", lambda f: f.cosine > 0.5, (_MEAN, _TIES, _SUM)),
    Case("few", lambda f: f.members <= 3 and f.matrices, (_TSV, _TIES, _OPCM, _SUM)),
    Case("few, and no matrices", lambda f: f.members <= 3, (_TIES, _SUM, _MEAN)),
    Case("neither few nor many", lambda f: f.members <= 4, (_TIES, _OPCM, _TSV, _MEAN)),
    Case("no matrices", lambda f: not f.matrices, (_TIES, _OPCM, _TSV, _MEAN)),
    Case("several", lambda f: f.members <= 6, (_CORE, _SCE, _MEAN, _TIES)),
    Case("many", lambda f: True, (_SCE, _TSV, _OPCM, _MEAN)),
)


@dataclass(frozen=True)
class Advice:
    """What to try first, and why.

    Attributes:
        facts: what was measured.
        ranking: what to try, best first; of each the method, its options and a reason.
        because: why in this order.
        warnings: what a reader should know of the members.
        useless: method to reason why it gains nothing here.
        impossible: method to reason why it cannot be used.
        conditional: method to what must be done for it.
        recipe: YAML of the first choice.
        interference: the measurements by member, pair and layer.
    """

    facts: Facts
    ranking: tuple[Choice, ...]
    because: str
    warnings: tuple[str, ...]
    useless: Mapping[str, str]
    impossible: Mapping[str, str]
    conditional: Mapping[str, str]
    recipe: str
    interference: Interference = field(repr=False)


def advise(base: Any, members: Sequence[Any], *, progress: Callable[[int, int], None] | None = None) -> Advice:
    """What to try first with a base and its fine-tunes, from their weights alone.

    Args:
        base: a checkpoint, or what `open_checkpoint` opens.
        members: its fine-tunes, one at least, as base.
        progress: called with what is done and what there is to do, in bytes.

    Raises:
        CompatibilityError: for no members, and for members that have nothing to compare.

    >>> import torch
    >>> base, a, b = ({"w": torch.eye(4) * x} for x in (1.0, 1.1, 1.2))
    >>> advise(base, [a, b]).ranking[0].method
    'linear'
    """
    if not members:
        raise CompatibilityError("advise: no fine-tunes were given; name at least one beside the base")
    ground = _labelled(base, "base")
    found = [_labelled(member, f"model-{i + 1}") for i, member in enumerate(members)]
    report = interfere(ground, found, progress=progress)
    facts = _facts(report, ground)
    rule = next(rule for rule in RULES if rule.holds(facts))
    ranking = rule.choices if facts.members > 1 else (_SUM,)
    because, useless = _because(facts, rule), _useless(facts)
    models = [ground, *found] if _names_base(ranking[0]) else found
    by_token = _merged_by_token(models)
    warnings = _warnings(report, facts)
    if by_token:
        warnings += ("the vocabularies differ; the recipe merges their rows by token (tokenizer_source: union)",)
    impossible, conditional = _impossible(len(found)), _conditional(len(found), useless)
    recipe = _recipe(ground, found, ranking[0], by_token, [because, *warnings])
    return Advice(facts, ranking, because, warnings, useless, impossible, conditional, recipe, report)


def _because(facts: Facts, rule: Case) -> str:
    if facts.members < 2:
        return (
            "one fine-tune differs from the base, so there is only its size to choose"
            if facts.members
            else "no fine-tune differs from the base"
        )
    alike = next(words for least, words in ALIKE if facts.cosine > least)
    return f"{facts.members} fine-tunes differ from the base ({rule.words}); their changes {alike} (mean cosine {fixed(facts.cosine, 2)})"


def _names_base(choice: Choice) -> bool:
    return METHODS[choice.method].needs.base in ("required", "optional")


def _merged_by_token(models: Sequence[Checkpoint]) -> bool:
    """Whether vocabularies differ, in length or in tokens, and the tokenizers beside the weights say which row is whose."""
    try:
        same = len({embedding_rows(model) for model in models}) == 1 and same_tokenizers(models) is None
    except CompatibilityError:
        same = False
    try:
        return not same and plan_vocabulary(TokenizerSettings("union"), models, None, 0) is not None
    except ModelweaveError:
        return False


def _labelled(model: Any, label: str) -> Checkpoint:
    checkpoint = open_checkpoint(model)
    if checkpoint.label in ("", "state dict", "module", "memory"):
        checkpoint.label = label
    return checkpoint


def _facts(report: Interference, base: Checkpoint) -> Facts:
    sums = report.total.sums
    by_layer = [group.sums.relative.max() for group in report.by_layer()]
    matrices = any(len(ref.shape) == 2 and min(ref.shape) > 1 for ref in base.values())
    return Facts(
        members=int((sums.norms > 0).sum()),
        cosine=sums.mean_of(sums.cosine) or 0.0,
        conflicts=sums.mean_of(sums.conflict) or 0.0,
        relative=float(max(by_layer)),
        alike=_alike(sums),
        kept=sums.keeps("mean") or 1.0,
        matrices=matrices,
    )


def _alike(sums: Meeting) -> float:
    """A lower bound of the cosine between two members' weights, from the sizes of their changes against the base."""
    pairs = combinations(range(len(sums.gram)), 2)
    distances = [float(sums.gram[i, i] + sums.gram[j, j] - 2 * sums.gram[i, j]) for i, j in pairs]
    return 1 - max(distances, default=0.0) / (2 * sums.base) if sums.base else 0.0


def _warnings(report: Interference, facts: Facts) -> tuple[str, ...]:
    found = []
    sums = report.total.sums
    for label, norm in zip(report.labels, sums.norms, strict=True):
        if norm == 0:
            found.append(f"'{label}' changes nothing of the base; leave it out")
    for i, j in combinations(range(len(report.labels)), 2):
        if (sums.cosine(i, j) or 0.0) > 0.999:
            found.append(f"'{report.labels[i]}' and '{report.labels[j]}' are the same change; one of them counts twice")
    far = [g.layer for g in report.by_layer() if g.sums.relative.max() > FAR]
    if far:
        words = ", ".join("outside the layers" if layer is None else f"layer {layer}" for layer in far[:4])
        found.append(
            f"changes of more than {FAR:.0%} of the base ({words}{', ...' if len(far) > 4 else ''}): such models may no longer fit together"
        )
    largest, least = float(sums.norms.max()), float(min((n for n in sums.norms if n > 0), default=0))
    if least and largest > 3 * least:
        found.append(f"the largest change is {largest / least:.1f} times the least; give weights, or the largest decides")
    if facts.members > 1 and facts.kept < 0.75:
        found.append(f"a mean keeps {facts.kept:.0%} of the members' norm, so linear and uniform_soup dilute every member")
    if facts.conflicts > 0.4 and facts.members > 1:
        found.append(
            f"{facts.conflicts:.0%} of the entries that two members change are pulled in opposite directions; a plain sum cancels there"
        )
    if report.skipped:
        name, reason = next(iter(report.skipped.items()))
        found.append(f"{counted(len(report.skipped), 'tensor was', 'tensors were')} not compared, the first is {name} ({reason})")
    return tuple(found)


def _useless(facts: Facts) -> dict[str, str]:
    """Methods that would do nothing that a simpler one does not."""
    found: dict[str, str] = {}
    if facts.members > 1 and facts.alike > PARALLEL:
        reason = f"the members' weights are nearly parallel (cosine > {PARALLEL}): as linear"
        found |= dict.fromkeys(("slerp", "multislerp", "karcher"), reason)
    if facts.members > 1 and facts.conflicts < 0.02 and facts.cosine < 0.05:
        found |= dict.fromkeys(("breadcrumbs_ties", "dare_ties"), "hardly an entry is pulled both ways, so votes decide nothing")
    if facts.members < 2:
        found |= dict.fromkeys(("ties", "sce", "emr", "magmax", "consensus"), "there is only one change to combine")
    return found


def _impossible(members: int) -> dict[str, str]:
    """Methods that take another number of models."""
    found: dict[str, str] = {}
    for row in METHODS.values():
        low, high, base = row.needs.min_models, row.needs.max_models, row.needs.base
        beside = " beside the base" if base == "required" else ""
        if base == "first" and members > 2:
            found[row.name] = "take two models, one of them named as base_model"
        elif base == "first" or (base == "input" and high == 1):
            # two models will do, or it copies one
            continue
        elif members < low:
            found[row.name] = f"need at least {low} models{beside}"
        elif high is not None and members > high:
            found[row.name] = f"take {high} model{'s' * (high > 1)}{beside}"
    return found


def _conditional(members: int, useless: Mapping[str, str]) -> dict[str, str]:
    """Methods for two models that apply once one of the members stands as the base."""
    names = [row.name for row in METHODS.values() if row.needs.base == "first" and row.name not in useless]
    return dict.fromkeys(names, "name one of the two as base_model") if members == 2 else {}


def _recipe(base: Checkpoint, members: Sequence[Checkpoint], choice: Choice, by_token: bool, reasons: Sequence[str]) -> str:
    """The first choice as a recipe, with the reasons as comments."""
    row = METHODS[choice.method]
    each = {p.name for p in row.parameters if p.scope != "shared"}
    own = {"weight": 1.0} if any(p.name == "weight" and p.required for p in row.parameters) else {}
    own |= {name: value for name, value in choice.options.items() if name in each}
    shared = {name: value for name, value in choice.options.items() if name not in each}
    because, *warnings = reasons
    comments = [because, f"{choice.method}: {choice.reason}", *warnings]
    comments.append("compare the result with every member on data of your own; then try the other choices and the scale")
    data = {
        "merge_method": choice.method,
        **({"base_model": base.label} if _names_base(choice) else {}),
        **({"tokenizer_source": "union"} if by_token else {}),
        "models": [{"model": member.label, **({"parameters": own} if own else {})} for member in members],
        **({"parameters": shared} if shared else {}),
    }
    return write_yaml(data, comments)
