"""The recipe's schema: every key that may be written, checked key by key.

Every key of mergekit's YAML is here with the same meaning. Beyond it: `name`, `overrides`, `missing`, `shapes`, `seed`, `preset`, `after`
(and `include`, which is gone before this schema sees the recipe).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ...checkpoints.dtypes import DTYPES, tag_of_word
from ...errors import RecipeError, unknown
from ...text.references import reference
from .tokenizer_settings import TokenizerSettings
from .values import check_form

_PATH: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "pattern": r"\S"},
        {
            "type": "object",
            "properties": {"path": {"type": "string"}, "revision": {"type": ["string", "number", "null"]}},
            "required": ["path"],
            "additionalProperties": False,
        },
    ]
}
REFERENCE_SCHEMA: dict[str, Any] = {
    "description": "folder, file, address or hub id, as in path[@revision][+adapter[@revision]]",
    "anyOf": [
        *_PATH["anyOf"],
        {
            "type": "object",
            "properties": {
                "model": _PATH,
                "lora": {"anyOf": [{"type": "null"}, *_PATH["anyOf"]]},
                "override_architecture": {"type": ["string", "null"]},
            },
            "required": ["model"],
            "additionalProperties": False,
        },
    ],
}
_WORDS = [d.torch for d in DTYPES.values() if d.floating]
_DTYPE_SCHEMA: dict[str, Any] = {"enum": [*_WORDS, *(f"torch.{word}" for word in _WORDS)]}


def _form(value: Any) -> Any:
    try:
        return check_form(value)
    except ValueError as error:
        raise PydanticCustomError("recipe", "{reason}", {"reason": str(error)}) from None


def _dtype(value: str) -> str:
    word = value.removeprefix("torch.")
    try:
        tag_of_word(word, "")
    except RecipeError as error:
        raise PydanticCustomError("recipe", "{reason}", {"reason": str(error).lstrip(": ")}) from None
    return word


def _named(value: Any) -> Any:
    if isinstance(value, ModelReference):
        return value
    try:
        label = reference(value, "")
    except RecipeError as error:
        raise PydanticCustomError("recipe", "{reason}", {"reason": str(error).lstrip(": ")}) from None
    architecture = value.get("override_architecture") if isinstance(value, Mapping) else None
    return ModelReference(label=label, override_architecture=architecture)


def _empty(value: Any) -> Any:
    return {} if value is None else value


class _Strict(BaseModel):
    """A mapping whose unknown keys are errors that name the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            for key in value:
                if key not in cls.model_fields:
                    # `include` is resolved before this schema sees the recipe
                    known = (*cls.model_fields, *(["include"] if cls.__name__ == "Document" else []))
                    reason = unknown("key", str(key), known)
                    raise _complaint(reason, str(key))
        return value


class ModelReference(BaseModel):
    """A model as the recipe names it. label: the text form, `path[@revision][+adapter[@revision]]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    label: str
    override_architecture: str | None = None


Setting = Annotated[Any, AfterValidator(_form)]
Parameters = Annotated[dict[str, Setting], BeforeValidator(_empty)]
Reference = Annotated[ModelReference, BeforeValidator(_named), WithJsonSchema(REFERENCE_SCHEMA)]
Statistics = Annotated[dict[str, Reference], Field(description="where what stands beside the model is stored, by word, as in fisher: file")]
DTypeWord = Annotated[str, AfterValidator(_dtype), WithJsonSchema(_DTYPE_SCHEMA)]
Number = Annotated[float, Field(strict=False), WithJsonSchema({"type": ["number", "string"]})]
LayerRange = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]


class Member(_Strict):
    """One model of `models`; text alone is the model."""

    model: Reference
    parameters: Parameters = {}
    statistics: Statistics = {}

    @model_validator(mode="before")
    @classmethod
    def _text_alone(cls, value: Any) -> Any:
        return {"model": value} if isinstance(value, str) else value


class SliceSource(_Strict):
    """One model of a slice. layer_range: first layer and the one after the last."""

    model: Reference
    layer_range: LayerRange
    parameters: Parameters = {}
    statistics: Statistics = {}

    @model_validator(mode="after")
    def _forward(self) -> SliceSource:
        if self.layer_range[0] >= self.layer_range[1]:
            raise _complaint(f"layer_range: expected [first, end) with first below end, got {self.layer_range}", "layer_range")
        return self


class Slice(_Strict):
    """A block of output layers."""

    sources: list[SliceSource] = Field(min_length=1)
    base_model: Reference | None = None
    parameters: Parameters = {}
    residual_weight: Number | None = None

    @model_validator(mode="after")
    def _equal_lengths(self) -> Slice:
        counts = [source.layer_range[1] - source.layer_range[0] for source in self.sources]
        if len(set(counts)) > 1:
            raise _complaint(f"expected sources with equally many layers, got {', '.join(map(str, counts))}; align the layer_range")
        return self


class Module(_Strict):
    """One named part of a model with several stacks of layers."""

    models: list[Member] | None = None
    slices: list[Slice] | None = None
    parameters: Parameters = {}

    @model_validator(mode="after")
    def _one_form(self) -> Module:
        _exactly_one(self, ("models", "slices"))
        return self


class Override(_Strict):
    """Another method, or other parameters, for the tensors whose name the filter matches.

    filter: part of a name, or a glob over the whole name if it has one of * ? [. models: only these members take part.
    """

    filter: str = Field(min_length=1)
    merge_method: str | None = None
    parameters: Parameters = {}
    models: list[Member] | None = Field(None, min_length=1)


class Document(_Strict):
    """One recipe."""

    merge_method: str
    name: str | None = Field(None, min_length=1, description="later documents of the file use the result under this name")
    models: list[Member] | None = Field(None, description="whole models, or those that a method takes beside base_model")
    slices: list[Slice] | None = Field(None, description="blocks of layers in their order; each from one model, or merged from several")
    modules: dict[str, Module] | None = Field(None, description="a part of the model by name, each with models or slices of its own")
    base_model: Reference | None = Field(None, description="the common ancestor; lends config and tokenizer")
    parameters: Parameters = Field({}, description="the method's, where no model, slice or override says otherwise")
    overrides: list[Override] = Field([], description="another method or other parameters for the tensors that a filter names")
    dtype: DTypeWord | None = Field(None, description="type of the result, unless out_dtype says another; arithmetic is float32 or wider")
    out_dtype: DTypeWord | None = Field(None, description="type of the result")
    tokenizer_source: Any = None
    tokenizer: Any = None
    chat_template: str | None = Field(None, min_length=1, description="auto (what most inputs have), a known name, or Jinja text")
    missing: Literal["error", "base", "intersection", "union"] = Field("error", description="what becomes of tensors that some inputs lack")
    shapes: Literal["error", "base"] = Field("error", description="what becomes of tensors whose shapes differ")
    seed: int | None = Field(None, ge=0, description="of random methods, 0 by default")
    after: list[str | dict[str, Any]] = []
    preset: str | None = None
    _needs: tuple[str, ...] = PrivateAttr(default=())

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the documents of the same file whose results this one merges."""
        return self._needs

    @property
    def tokenizer_settings(self) -> TokenizerSettings | None:
        return TokenizerSettings.from_recipe(self.tokenizer_source, self.tokenizer)

    @property
    def references(self) -> tuple[ModelReference, ...]:
        """Every model that the recipe names, in order and without repetition, the base first."""
        blocks: list[Document | Module] = [self, *(self.modules or {}).values()]
        found: list[ModelReference] = [self.base_model] if self.base_model else []
        for block in blocks:
            found += [member.model for member in block.models or []]
            for piece in block.slices or []:
                found += [piece.base_model] if piece.base_model else []
                found += [source.model for source in piece.sources]
        first = {reference.label: reference for reference in reversed(found)}
        return tuple(first[label] for label in dict.fromkeys(reference.label for reference in found))

    @property
    def statistics(self) -> Mapping[str, Mapping[str, ModelReference]]:
        """What stands beside each model that has such, by its label and a word; said once for all places of the model."""
        blocks: list[Document | Module | Override] = [self, *(self.modules or {}).values(), *self.overrides]
        found: dict[str, dict[str, ModelReference]] = {}
        for block in blocks:
            slices = [] if isinstance(block, Override) else block.slices or []
            entries: list[Member | SliceSource] = [*(block.models or []), *(source for piece in slices for source in piece.sources)]
            for entry in entries:
                if entry.statistics:
                    found.setdefault(entry.model.label, {}).update(entry.statistics)
        return found

    @model_validator(mode="after")
    def _one_form(self) -> Document:
        _exactly_one(self, ("models", "slices", "modules"))
        try:
            _ = self.tokenizer_settings
        except RecipeError as error:
            raise _complaint(str(error)) from None
        return self

    def resolved(self) -> dict[str, Any]:
        """The recipe as plain data, with model references in their text form."""
        return _plain(self.model_dump(mode="json", exclude_none=True, exclude_defaults=True))  # type: ignore[no-any-return]


def validated(data: Any, *, where: str = "recipe", spots: Mapping[tuple[Any, ...], str] | None = None) -> Document:
    """The checked recipe, or a RecipeError with one sentence about its first mistake.

    spots: where each value stands, by its path, for messages.
    >>> validated({"merge_method": "linear", "models": [{"model": "a"}]}).models[0].model.label
    'a'
    """
    if not isinstance(data, Mapping):
        kind = "a list" if isinstance(data, list) else "nothing" if data is None else f"{data!r:.40}"
        raise RecipeError(f"{where}: expected a mapping with merge_method and models, slices or modules, got {kind}")
    try:
        return Document.model_validate(data)
    except ValidationError as error:
        raise RecipeError(_sentence(error, where, spots or {})) from None


def _sentence(error: ValidationError, where: str, spots: Mapping[tuple[Any, ...], str]) -> str:
    first = error.errors()[0]
    context = first.get("ctx", {})
    path = tuple(first["loc"])
    pointed = (*path, context["key"]) if "key" in context else path
    spot = next((spots[pointed[:n]] for n in range(len(pointed), 0, -1) if pointed[:n] in spots), where)
    if first["type"] == "missing":
        return f"{spot}: {dotted(path[:-1]) or 'recipe'}: expected the key '{path[-1]}', which is missing"
    place = f"{dotted(path)}: " if path else ""
    if first["type"] == "recipe":
        return f"{spot}: {place}{first['msg']}"
    text = first["msg"].replace("Input should be", "expected").replace("List should have", "expected a list with")
    text = re.sub(r"a valid dictionary( or instance of \w+)?", "a mapping", text)
    return f"{spot}: {place}{text[0].lower() + text[1:]}, got {first['input']!r:.80}"


def dotted(path: tuple[Any, ...]) -> str:
    """A path as the recipe's reader writes it.

    >>> dotted(("models", 1, "parameters"))
    'models[1].parameters'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _complaint(reason: str, key: str | None = None) -> PydanticCustomError:
    """key: of a mapping, where the message is about one."""
    return PydanticCustomError("recipe", "{reason}", {"reason": reason, **({} if key is None else {"key": key})})


def _exactly_one(block: Document | Module, keys: tuple[str, ...]) -> None:
    given = [key for key in keys if getattr(block, key)]
    if len(given) != 1:
        raise _complaint(f"expected exactly one of {', '.join(keys)}, with entries, got {' and '.join(given) or 'none'}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if "label" in value and set(value) <= {"label", "override_architecture"}:
            return {"model": value["label"], **value} if "override_architecture" in value else value["label"]
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
