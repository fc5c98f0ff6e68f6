"""The recipe's JSON schema, for editors that complete and check while one types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..method import Method, Parameter
from ..weights.after.steps import STEPS
from .document import SETTING_SCHEMA, Document

_TOKENIZER = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "source": {"description": "union, base or a model", "type": ["string", "object"]},
        "tokens": {
            "type": "object",
            "additionalProperties": {
                "type": ["object", "null"],
                "additionalProperties": False,
                "properties": {"source": {"type": ["string", "object"]}, "force": {"type": "boolean"}},
            },
        },
        "pad_to_multiple_of": {"type": "integer", "minimum": 1},
    },
}


def recipe_schema(methods: Mapping[str, Method] | None = None) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of one document, with the names of methods and of their parameters.

    methods: rows by name, the catalog's by default.
    """
    if methods is None:
        from ..catalog import METHODS

        methods = METHODS
    schema = Document.model_json_schema()
    _without_defaults_of_none(schema)
    known = _parameters(methods)
    for definition in [schema, *schema["$defs"].values()]:
        properties = definition.get("properties", {})
        if "parameters" in properties:
            properties["parameters"] = {"$ref": "#/$defs/Parameters"}
        if "merge_method" in properties:
            properties["merge_method"] = {"enum": sorted(methods), "description": "the method"}
    schema["$defs"]["Parameters"] = {"type": ["object", "null"], "properties": known, "additionalProperties": False}
    paths = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    schema["properties"]["include"] = {"description": "recipes that this one is laid over", **paths}
    presets = sorted({name for method in methods.values() for name in method.presets})
    schema["properties"]["preset"] = {"enum": presets, "description": "the method's defaults in a paper or another tool"}
    schema["properties"]["after"] = {"type": "array", "description": "steps after the method", "items": {"anyOf": _steps()}}
    schema["properties"]["tokenizer"] = _TOKENIZER
    schema["properties"]["tokenizer_source"] = {"description": "union, base or a model", "type": ["string", "object"]}
    schema["allOf"] = [_only_its_own(method) for method in methods.values()]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "modelweave recipe",
        # an included file may hold them
        "required": [],
    }


def _steps() -> list[dict[str, Any]]:
    """A step by its name alone, or with parameters."""
    described = []
    for step in STEPS.values():
        values = {p.name: {"type": "number", "description": _described(p)} for p in step.parameters}
        settings = {"type": ["object", "null"], "properties": values, "additionalProperties": False}
        described.append({"type": "object", "properties": {step.name: settings}, "required": [step.name], "additionalProperties": False})
    return [{"enum": sorted(STEPS)}, *described]


def _parameters(methods: Mapping[str, Method]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for method in methods.values():
        for parameter in method.parameters:
            for word in (parameter.name, *parameter.aliases):
                text = f"{method.name}: {_described(parameter)}"
                entry = known.setdefault(word, {**SETTING_SCHEMA, "description": ""})
                entry["description"] = "\n".join(filter(None, [entry["description"], text]))
    return dict(sorted(known.items()))


def _described(parameter: Parameter) -> str:
    default = "required" if parameter.required else f"default {parameter.default}"
    return ", ".join(filter(None, [parameter.help, parameter.range, default]))


def _only_its_own(method: Method) -> dict[str, Any]:
    """Without overrides the parameters must be those of the method."""
    words = sorted(word for p in method.parameters for word in (p.name, *p.aliases))
    condition = {"properties": {"merge_method": {"const": method.name}}, "required": ["merge_method"], "not": {"required": ["overrides"]}}
    return {"if": condition, "then": {"properties": {"parameters": {"propertyNames": {"enum": words}}}}}


def _without_defaults_of_none(value: Any) -> None:
    """`default: null` tells an editor nothing and is offered as a completion."""
    if isinstance(value, dict):
        if value.get("default", 0) is None:
            del value["default"]
        for inner in value.values():
            _without_defaults_of_none(inner)
    elif isinstance(value, list):
        for inner in value:
            _without_defaults_of_none(inner)
