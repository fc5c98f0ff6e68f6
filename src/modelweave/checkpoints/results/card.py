"""The model card of a result, and the licence that its inputs leave it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from ...errors import without_secrets
from .manifest import publishable, without_paths

_SAYS_NOTHING = ("other", "unknown")


def combine_licences(licences: Sequence[tuple[str, str | None]]) -> tuple[str | None, list[str]]:
    """The licence that all inputs share, or None with a sentence that says why there is none. licences: (label, licence) each.

    Inputs that all name none leave nothing to warn of. Makers' own licences count by their name, as in `llama3`.

    >>> combine_licences([("a", "mit"), ("b", "mit")])
    ('mit', [])
    """
    known = {label: licence for label, licence in licences if licence}
    if not known:
        return None, []
    listed = ", ".join(f"'{label}': {licence}" for label, licence in known.items())
    check = f"({listed}); the card claims none, check which one the result may have"
    if len({licence.lower() for licence in known.values()}) > 1:
        return None, [f"the inputs have different licences {check}"]
    if unknown := [label for label, licence in licences if not licence]:
        return None, [f"no licence is named by {', '.join(map(repr, unknown))} {check}"]
    licence = next(iter(known.values()))
    if licence.lower() in _SAYS_NOTHING:
        return None, [f"the inputs have licences without a known name {check}"]
    return licence, []


def model_card(
    *,
    name: str,
    recipes: Sequence[Mapping[str, Any]],
    labels: Sequence[str],
    methods: Sequence[tuple[str, str, str]],
    made: str | None = None,
    licence: str | None = None,
    library: str | None = None,
) -> str:
    """A README.md with the front matter that model hubs read; no secrets and no machine's paths are in it.

    recipes: the documents, the result's own last. labels: the inputs as they name them. methods: (title, formula, source) of each that
    was used. made: how the result came to be, in one sentence, where it is no merge.

    >>> card = model_card(name="x", recipes=[{}], labels=["org/a", "/home/me/b"], methods=[("Linear", "mean", "folklore")])
    >>> card.splitlines()[:2]
    ['---', 'base_model: [org/a, b]']
    """
    shown = list(dict.fromkeys(without_paths(without_secrets(label)) for label in labels))
    relation = {"base_model_relation": "merge", "tags": ["merge", "modelweave"]} if made is None else {"tags": ["modelweave"]}
    front: dict[str, Any] = {"base_model": shown, **relation}
    if library:
        front["library_name"] = library
    if licence:
        front["license"] = licence
    models = "\n".join(f"- `{label}`" for label in shown)
    lines = "\n".join(f"- **{title}**: {formula} ({source})" for title, formula, source in methods)
    text = "---\n".join(_yaml(publishable(recipe)) for recipe in recipes)
    fence = "```"
    while fence in text:  # a chat template may hold one
        fence += "`"
    how = f"## Method\n\n{lines or '- copied'}\n\n## Recipe" if made is None else "## How it was made"
    return (
        f"---\n{_yaml(front)}---\n\n# {name}\n\n{made or 'A merge of several models'}, made with modelweave.\n\n"
        f"## Models\n\n{models}\n\n{how}\n\n{fence}yaml\n{text}{fence}\n\n"
        "What became of every tensor, the options as resolved, and the hashes of the inputs stand in `modelweave.json`.\n"
    )


def _yaml(data: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    return text
