"""`modelweave methods`: the catalog, and one method with a recipe to start from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Json
from .printing import say, show_json, show_table

if TYPE_CHECKING:
    from ..outputs.predictions.learner import Learner
    from ..row import Method, Needs, Parameter
    from ..weights.after.steps import Step

BASE_WORDS = {
    "required": "a base, which changes are taken from",
    "optional": "a base is optional",
    "input": "no base; one that is given counts as a model",
}
SCOPE_WORDS = {"shared": "all", "model": "each model", "input": "each model, base too"}
STARTS = {"density": 0.5}
"""Values for the snippet where the default would show nothing."""
PLACEHOLDERS = {"chooser": "FOLDER"}
"""Words for values in a command that nobody can guess."""


def methods(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One method, in full.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """List the methods, or describe one in full.

    Those that merge weights, the steps that may follow, and those that blend predictions.

    \b
    Example:
      modelweave methods ties
      modelweave methods greedy
    """
    from ..catalog import LEARNERS, METHODS
    from ..weights.after.steps import STEPS

    if name is not None:
        show, plain, row = _shown_as(name)
        return show_json(plain(row)) if json else show(row)
    if json:
        return show_json([*map(method_dict, METHODS.values()), *map(learner_dict, LEARNERS.values()), *map(step_dict, STEPS.values())])
    rows = [(row.name, row.title, row.needs.base, models_text(row.needs), _paper(row), row.formula) for row in METHODS.values()]
    show_table(("method", "title", "base", "models", ">paper", "formula"), rows, title="weights, for modelweave merge")
    say()
    steps = [(step.name, step.formula) for step in STEPS.values()]
    show_table(("step", "formula"), steps, title="steps after a method, under `after` in a recipe")
    say()
    blends = [(row.name, row.title, ", ".join(row.tasks), _paper(row), row.formula) for row in LEARNERS.values()]
    show_table(("method", "title", "for", ">paper", "formula"), blends, title="predictions, for modelweave blend")
    say("\nmodelweave methods NAME shows one with its parameters and an example to start from")


def _shown_as(name: str) -> tuple[Callable[[Any], None], Callable[[Any], dict[str, Any]], Any]:
    """How a row is shown, how it becomes plain data, and the row of that name, which may be written in capitals or with dashes."""
    from ..catalog import any_row
    from ..row import Method
    from ..weights.after.steps import STEPS

    word = name.lower().replace("-", "_")
    if word in STEPS:
        return show_step, step_dict, STEPS[word]
    row = any_row(word)
    return (show_method, method_dict, row) if isinstance(row, Method) else (show_learner, learner_dict, row)


def show_method(row: Method) -> None:
    """Everything that the row says, and the snippet."""
    say(f"{row.name}: {row.title}\n")
    say(f"formula     {row.formula}")
    say(f"parts       {row.parts}")
    say(f"needs       {needs_text(row)}")
    say(f"properties  {', '.join(sorted(word.replace('_', ' ') for word in row.keeps)) or 'none that is tested'}")
    say(f"source      {_source(row)}")
    if row.note:
        say(f"note        {row.note}")
    _say_presets(row)
    say()
    if row.parameters:
        cells = [(_names(p), p.range, _default(p), SCOPE_WORDS[p.scope], p.help) for p in row.parameters]
        show_table(("parameter", "value", "default", "for", "meaning"), cells)
    else:
        say("no parameters")
    say(f"\nA recipe to start from:\n\n{snippet(row)}")


def show_learner(row: Learner) -> None:
    """Everything that the row of a blend says, and a command."""
    say(f"{row.name}: {row.title}\n")
    say(f"formula     {row.formula}")
    say(f"for         {', '.join(row.tasks)} predictions")
    if row.source:
        say(f"source      {_source(row)}")
    _say_presets(row)
    say()
    if row.parameters:
        show_table(("parameter", "value", "default", "meaning"), [(_names(p), p.range, _default(p), p.help) for p in row.parameters])
    else:
        say("no parameters")
    words = [f" --set {p.name}={PLACEHOLDERS.get(p.name, p.name.upper())}" for p in row.parameters if p.required]
    segments = " --segments COLUMN" if row.needs_segments else ""
    say(f"\nmodelweave blend predictions/ --targets y.csv --method {row.name}{segments}{''.join(words)}")


def show_step(step: Step) -> None:
    """Everything that a step after a method says, and its place in a recipe."""
    say(f"{step.name}: a step after any method that merges changes from a base\n")
    say(f"formula     {step.formula}")
    say(f"source      {step.source}\n")
    show_table(("parameter", "value", "default", "meaning"), [(_names(p), p.range, _default(p), p.help) for p in step.parameters])
    say(f"\nA recipe to start from:\n\n{step_snippet(step)}")


def step_snippet(step: Step) -> str:
    """A recipe of the plainest method on changes, with the step after it."""
    from ..catalog import METHODS

    return f"{snippet(METHODS['task_arithmetic'])}after:\n  - {step.name}\n"


def step_dict(step: Step) -> dict[str, Any]:
    """The step ready for JSON."""
    return {
        "name": step.name,
        "level": "after",
        "formula": step.formula,
        "parameters": [_parameter_dict(parameter) for parameter in step.parameters],
        "source": step.source,
        "snippet": step_snippet(step),
    }


def learner_dict(row: Learner) -> dict[str, Any]:
    """The row ready for JSON."""
    return {
        "name": row.name,
        "title": row.title,
        "level": row.level,
        "formula": row.formula,
        "tasks": list(row.tasks),
        "parameters": [_parameter_dict(parameter) for parameter in row.parameters],
        "presets": {name: dict(values) for name, values in row.presets.items()},
        "source": row.source,
        "paper": row.paper,
    }


def _say_presets(row: Method | Learner) -> None:
    for name, values in row.presets.items():
        say(f"preset      {name}: " + (", ".join(f"{word} {_word(value)}" for word, value in values.items()) or "the defaults"))


def method_dict(row: Method) -> dict[str, Any]:
    """The row ready for JSON; limits that are not there and defaults of required parameters are null."""
    parameters = [_parameter_dict(parameter) for parameter in row.parameters]
    return {
        "name": row.name,
        "title": row.title,
        "level": row.level,
        "formula": row.formula,
        "parts": row.parts,
        "needs": asdict(row.needs),
        "properties": sorted(row.keeps),
        "parameters": parameters,
        "presets": {name: dict(values) for name, values in row.presets.items()},
        "source": row.source,
        "paper": row.paper,
        "note": row.note,
        "snippet": snippet(row),
    }


def snippet(row: Method) -> str:
    """A recipe of the method with every parameter that has something to say.

    >>> from modelweave.catalog import method
    >>> print(snippet(method("slerp")), end="")
    merge_method: slerp
    base_model: path/to/first
    models:
      - model: path/to/first
      - model: path/to/second
    parameters:
      t: 0.5
    dtype: bfloat16
    """
    own = [f"{p.name}: {_word(_start(p))}" for p in row.parameters if p.scope != "shared" and _start(p) is not None]
    shared = [f"{p.name}: {_word(_start(p))}" for p in row.parameters if p.scope == "shared" and _start(p) is not None]
    # the first of two models is the base itself
    count = 2 if row.needs.base == "first" else min(max(2, row.needs.min_models), row.needs.max_models or 2)
    lines = [f"merge_method: {row.name}"]
    lines += {"required": ["base_model: path/to/base"], "first": ["base_model: path/to/first"]}.get(row.needs.base, [])
    lines.append("models:")
    for word in ("first", "second")[:count]:
        lines.append(f"  - model: path/to/{word}")
        lines += [f"    parameters: {{{', '.join(own)}}}"] if own else []
    lines += ["parameters:", *(f"  {line}" for line in shared)] if shared else []
    # what is taken up again, or split into members again, must not have been rounded
    kept = row.over_model is not None or row.masks is not None
    return "\n".join([*lines, "out_dtype: float32" if kept else "dtype: bfloat16", ""])


def needs_text(row: Method) -> str:
    """The models and the base that a method takes, in words.

    >>> from modelweave.catalog import method
    >>> needs_text(method("slerp")), needs_text(method("expo"))
    ('two models, one of them named as base_model', '1 model; a base, which changes are taken from')
    """
    if row.needs.base == "first":
        return "two models, one of them named as base_model"
    models = models_text(row.needs)
    # a note that speaks of the base says what it does
    optional = "; with one, changes are taken from it" if row.needs.base == "optional" and "base" not in row.note else ""
    return f"{models} model{'s' * (models != '1')}; {BASE_WORDS[row.needs.base]}{optional}"


def models_text(needs: Needs) -> str:
    """How many models a method takes: without the base, but with one that is the first of them.

    >>> from modelweave.row import Needs
    >>> models_text(Needs()), models_text(Needs(min_models=2, max_models=2)), models_text(Needs("first", 1, 1))
    ('1 or more', '2', '2')
    """
    if needs.base == "first":
        return "2"
    if needs.max_models is None:
        return f"{needs.min_models} or more"
    return str(needs.min_models) if needs.min_models == needs.max_models else f"{needs.min_models} to {needs.max_models}"


def _start(parameter: Parameter) -> Any:
    """A value to start from; None where the default says all."""
    # read for another tool's sake only
    if parameter.name == "int8_mask":
        return None
    if not parameter.required:
        return STARTS.get(parameter.name, parameter.default)
    return 0.001 if parameter.at_least == 0 and parameter.at_most == math.inf else 0.5


def _word(value: Any) -> str:
    """A value as YAML reads it back."""
    if isinstance(value, bool):
        return str(value).lower()
    # YAML 1.1 takes 1e-05 for text
    return f"{value:.12f}".rstrip("0") if "e" in str(value) and isinstance(value, float) else str(value)


def _paper(row: Method | Learner) -> str:
    return "-" if row.paper is None else str(row.paper)


def _source(row: Method | Learner) -> str:
    """Where it comes from, with the number of the paper where the source does not say it itself."""
    paper = "" if row.paper is None else f"paper {row.paper:02d}"
    return row.source if not paper or paper in row.source else f"{row.source} ({paper})"


def _names(parameter: Parameter) -> str:
    return ", ".join((parameter.name, *parameter.aliases))


def _default(parameter: Parameter) -> str:
    if parameter.required:
        return "required"
    return "none" if parameter.default is None else _word(parameter.default)


def _parameter_dict(parameter: Parameter) -> dict[str, Any]:
    fields = asdict(parameter)
    fields["default"] = None if parameter.required else parameter.default
    return {**fields, "required": parameter.required, "range": parameter.range}
