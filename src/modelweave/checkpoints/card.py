"""The model card of a result, and the licence that its inputs leave it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml


def combine_licences(licences: Sequence[tuple[str, str | None]]) -> tuple[str | None, list[str]]:
    """The licence that all inputs share, or None with a sentence that says why there is none. licences: (label, licence) each.

    >>> combine_licences([("a", "mit"), ("b", "mit")])
    ('mit', [])
    """
    known = {label: licence for label, licence in licences if licence}
    if not known:
        return None, []
    listed = ", ".join(f"{label}: {licence}" for label, licence in known.items())
    if len({licence.lower() for licence in known.values()}) > 1:
        return None, [f"the inputs have different licences ({listed}); the card claims none, check which one the result may have"]
    unknown = [label for label, licence in licences if not licence]
    if unknown:
        return None, [f"{', '.join(unknown)} name no licence ({listed}); the card claims none, check which one the result may have"]
    return next(iter(known.values())), []


def model_card(
    *,
    name: str,
    recipe: Mapping[str, Any],
    labels: Sequence[str],
    methods: Sequence[tuple[str, str, str]],
    licence: str | None = None,
    library: str | None = None,
) -> str:
    """A README.md with the front matter that model hubs read.

    labels: the inputs as the recipe names them. methods: (title, formula, source) of each that was used.
    """
    front: dict[str, Any] = {"base_model": list(labels), "base_model_relation": "merge", "tags": ["merge", "modelweave"]}
    if library:
        front["library_name"] = library
    if licence:
        front["license"] = licence
    models = "\n".join(f"- `{label}`" for label in labels)
    lines = "\n".join(f"- **{title}**: {formula} ({source})" for title, formula, source in methods)
    return (
        f"---\n{_yaml(front)}---\n\n# {name}\n\nA merge of several models, made with modelweave.\n\n## Models\n\n{models}\n\n"
        f"## Method\n\n{lines or '- copied'}\n\n## Recipe\n\n```yaml\n{_yaml(recipe)}```\n\n"
        "What became of every tensor, the options as resolved, and the hashes of the inputs stand in `modelweave.json`.\n"
    )


def _yaml(data: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    return text
