"""The recipe's JSON schema, for editors that complete and check them while one types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from ...catalog import METHODS, STEPS
from ...row import Parameter
from ...weights.method import Method
from .document import REFERENCE_SCHEMA, Document

_NUMBER = r"^\s*[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
"""A number as text: YAML 1.1 reads 1e-4 so."""
_TOKEN_SOURCE = {
    "anyOf": [
        {"type": "null"},
        REFERENCE_SCHEMA,
        {"type": "object", "properties": {"kind": {"const": "zero"}}, "required": ["kind"], "additionalProperties": False},
        {
            "type": "object",
            "properties": {
                "kind": {"const": "model_token"},
                "model": REFERENCE_SCHEMA,
                "token": {"type": "string"},
                "token_id": {"type": ["integer", "string"], "minimum": 0, "pattern": r"^\s*\d+\s*$"},
            },
            "required": ["kind", "model"],
            "oneOf": [{"required": ["token"]}, {"required": ["token_id"]}],
            "additionalProperties": False,
        },
    ]
}
_SOURCE = {"description": "union, base or a model", "anyOf": [{"type": "null"}, REFERENCE_SCHEMA]}
_TOKENIZER = {
    "description": "the vocabulary of the result, in full",
    "type": ["object", "null"],
    "additionalProperties": False,
    "properties": {
        "source": _SOURCE,
        "tokens": {
            "description": "rows of single tokens",
            "type": ["object", "null"],
            "additionalProperties": {
                "type": ["object", "null"],
                "additionalProperties": False,
                "properties": {"source": _TOKEN_SOURCE, "force": {"description": "for models that have the token, too"}},
            },
        },
        "pad_to_multiple_of": {"description": "round the rows up", "type": ["integer", "string", "null"], "minimum": 0},
    },
}


def _given(*keys: str, nothing: tuple[Any, ...] = (None, [], {})) -> dict[str, Any]:
    """Documents in which all these keys have a value."""
    return {"required": list(keys), "properties": {key: {"not": {"enum": list(nothing)}} for key in keys}}


_ALONE = {"not": {"required": ["include"]}}
"""Documents that say everything themselves."""
_WHOLE = {
    "if": _ALONE,
    "then": {"required": ["merge_method"], "anyOf": [_given(key) for key in ("models", "slices", "modules")]},
}
_BASE_POLICIES = {
    "if": {**_ALONE, "anyOf": [{"required": [key], "properties": {key: {"const": "base"}}} for key in ("missing", "shapes")]},
    "then": _given("base_model"),
}


def recipe_schema(methods: Mapping[str, Method] | None = None) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of one document, with the names of methods and of their parameters.

    methods: rows by name, the catalog's by default.
    """
    methods = METHODS if methods is None else methods
    schema = Document.model_json_schema()
    _without_defaults_of_none(schema)
    settings: dict[str, Any] = {}
    for definition in [schema, *schema["$defs"].values()]:
        properties = definition.get("properties", {})
        if "parameters" in properties:
            text = properties["parameters"].get("description", "the method's, here")
            properties["parameters"] = {"$ref": "#/$defs/Parameters", "description": text}
        if "models" in properties:
            text = properties["models"].get("description", "whole models")
            members = {"type": "array", "items": {"anyOf": [{"type": "string", "pattern": r"\S"}, {"$ref": "#/$defs/Member"}]}}
            properties["models"] = {"anyOf": [members, {"type": "null"}], "description": text}
        if "merge_method" in properties:
            unsaid = [] if definition is schema else [None]
            properties["merge_method"] = {"enum": [*sorted(methods), *unsaid], "description": "the method; modelweave methods lists them"}
    own = {f"{method.name} parameters": _parameters([method], settings) for method in methods.values()}
    own |= {f"{method.name} block": _block(method) for method in methods.values()}
    schema["$defs"] |= {"Parameters": _parameters(list(methods.values()), settings), **own, **settings}
    paths = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
    schema["properties"]["include"] = {"description": "recipes that this one is laid over", **paths}
    presets = sorted({name for method in methods.values() for name in method.presets})
    schema["properties"]["preset"] = {"enum": [*presets, None], "description": "the method's defaults in a paper or another tool"}
    schema["properties"]["after"] = {"type": "array", "description": "steps after the method", "items": {"anyOf": _steps()}}
    schema["properties"]["tokenizer"] = _TOKENIZER
    schema["properties"]["tokenizer_source"] = _SOURCE
    forms = [_given(*pair) for pair in combinations(("models", "slices", "modules"), 2)]
    schema["not"] = {"anyOf": [*forms, _given("tokenizer", "tokenizer_source", nothing=(None,))]}
    schema["allOf"] = [_WHOLE, _BASE_POLICIES, *map(_only_its_own, methods.values())]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "modelweave recipe",
        "required": [],
    }


def _steps() -> list[dict[str, Any]]:
    """A step by its name alone, or with parameters."""
    described = []
    for step in STEPS.values():
        values = {p.name: {**_value(p), "description": _described(p)} for p in step.parameters}
        settings = {"type": ["object", "null"], "properties": values, "additionalProperties": False}
        described.append({"type": "object", "properties": {step.name: settings}, "required": [step.name], "additionalProperties": False})
    return [{"enum": sorted(STEPS)}, *described]


def _parameters(methods: list[Method], settings: dict[str, Any]) -> dict[str, Any]:
    """What may stand under `parameters`. settings: takes the forms of values, each once."""
    known: dict[str, dict[str, Any]] = {}
    for method in methods:
        for parameter in method.parameters:
            settings.setdefault(parameter.range, _setting(_value(parameter)))
            for word in parameter.words:
                entry = known.setdefault(word, {"anyOf": [], "description": ""})
                form = {"$ref": f"#/$defs/{parameter.range}"}
                entry["anyOf"] += [] if form in entry["anyOf"] else [form]
                text = _described(parameter) if len(methods) == 1 else f"{method.name}: {_described(parameter)}"
                entry["description"] = "\n".join(filter(None, [entry["description"], text]))
    return {"type": ["object", "null"], "properties": dict(sorted(known.items())), "additionalProperties": False}


def _setting(value: Mapping[str, Any]) -> dict[str, Any]:
    """A value, a gradient of values, or either of them for the tensors that a filter names."""
    gradient = {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}]}
    condition = {
        "type": "object",
        "properties": {"filter": {"type": ["string", "null"], "description": "part of a tensor's name, or *"}, "value": gradient},
        "required": ["value"],
        "additionalProperties": False,
    }
    return {"anyOf": [*gradient["anyOf"], condition, {"type": "array", "items": condition, "minItems": 1}]}


def _value(parameter: Parameter) -> dict[str, Any]:
    """One value of a parameter."""
    if parameter.choices:
        return {"enum": list(parameter.choices)}
    if parameter.kind == "bool":
        return {"enum": [True, False, 0, 1]}
    if parameter.kind == "str":
        return {"type": ["string", "number"]}
    limits = {"minimum": parameter.at_least, "exclusiveMinimum": parameter.above, "maximum": parameter.at_most}
    number = {"type": "integer" if parameter.kind == "int" else "number"} | {k: v for k, v in limits.items() if math.isfinite(v)}
    return {"anyOf": [number, {"type": "string", "pattern": _NUMBER}]}


def _described(parameter: Parameter) -> str:
    default = "required" if parameter.required else f"default {parameter.default}"
    return ", ".join(filter(None, [parameter.help, parameter.range, default]))


def _block(method: Method) -> dict[str, Any]:
    """Everywhere in a document, or in one of its modules, parameters are the method's own."""
    own = {"properties": {"parameters": {"$ref": f"#/$defs/{method.name} parameters"}}}
    sources = {"properties": {**own["properties"], "sources": {"items": own}}}
    return {"properties": {**own["properties"], "models": {"items": own}, "slices": {"items": sources}}}


def _only_its_own(method: Method) -> dict[str, Any]:
    """Without overrides all parameters must be those of the method; and what else the method asks for."""
    block = {"$ref": f"#/$defs/{method.name} block"}
    then: dict[str, Any] = {"allOf": [block], "properties": {"modules": {"additionalProperties": block}}}
    then["properties"]["preset"] = {"enum": [*method.presets, None]}
    if method.needs.base in ("required", "first"):
        then["anyOf"] = [_given("base_model"), _given("slices"), _given("modules")]
    condition = {"properties": {"merge_method": {"const": method.name}}, "required": ["merge_method"]}
    return {"if": {**condition, "not": {"anyOf": [{"required": [key]} for key in ("overrides", "include")]}}, "then": then}


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
