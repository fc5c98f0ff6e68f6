"""Parameter values as a recipe writes them: one value, a gradient over depth, or a list of filters.

A setting is a scalar, a list of scalars (a gradient), a mapping {filter, value}, or a list of such mappings, the first that
matches counting. A filter is part of a tensor's name; `*`, or none, matches every name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...errors import ParameterError
from ...row import Parameter

Settings = Mapping[str, Any]
Level = tuple[str, Settings]
"""Where a mapping of settings stands in the recipe, for messages, and the mapping."""

UNSET: Any = type("Unset", (), {"__repr__": lambda self: "unset"})()
_SCALARS = (bool, int, float, str)


def check_form(setting: Any) -> Any:
    """The setting itself, or a ValueError that says what it should look like."""
    if isinstance(setting, _SCALARS):
        return setting
    if isinstance(setting, Mapping):
        _check_condition(setting)
        return setting
    if isinstance(setting, list) and setting:
        if all(isinstance(entry, _SCALARS) for entry in setting):
            return setting
        if all(isinstance(entry, Mapping) for entry in setting):
            for entry in setting:
                _check_condition(entry)
            return setting
    raise ValueError(f"expected a value, a list of values over depth, or a list of {{filter, value}}, got {setting!r}")


def _check_condition(entry: Mapping[str, Any]) -> None:
    unknown = [key for key in entry if key not in ("filter", "value")]
    if unknown or "value" not in entry:
        raise ValueError(f"expected a mapping with filter and value, got the keys {', '.join(map(str, entry)) or 'none'}")
    if not isinstance(entry.get("filter"), (str, type(None))):
        raise ValueError(f"expected text as filter, got {entry['filter']!r}")
    value = entry["value"]
    if not (isinstance(value, _SCALARS) or (isinstance(value, list) and value and all(isinstance(v, _SCALARS) for v in value))):
        raise ValueError(f"expected a value or a list of values over depth, got {value!r}")


def leaves(setting: Any) -> Iterator[Any]:
    """Every scalar of a setting."""
    if isinstance(setting, Mapping):
        yield from leaves(setting["value"])
    elif isinstance(setting, list):
        for entry in setting:
            yield from leaves(entry)
    else:
        yield setting


def filters(setting: Any) -> Iterator[str]:
    """Every filter of a setting that does not match all names."""
    for entry in [setting] if isinstance(setting, Mapping) else setting if isinstance(setting, list) else []:
        if isinstance(entry, Mapping) and entry.get("filter") not in (None, "*"):
            yield entry["filter"]


def evaluate(setting: Any, parameter: Parameter, *, name: str, t: float, where: str) -> Any:
    """The parameter's value for one tensor at depth t in [0, 1], or UNSET when no filter matches its name.

    A gradient is piecewise linear over equal parts of [0, 1]; text and flags switch, they do not blend.
    >>> evaluate([0, 1], Parameter("t", "float"), name="layers.3", t=0.25, where="parameters")
    0.25
    """
    if isinstance(setting, Mapping):
        setting = [setting]
    if not isinstance(setting, list):
        return parameter.check(setting, where)
    if isinstance(setting[0], Mapping):
        for entry in setting:
            word = entry.get("filter")
            if word is None or word == "*" or word in name:
                return evaluate(entry["value"], parameter, name=name, t=t, where=where)
        return UNSET
    values = [parameter.check(value, where) for value in setting]
    position = t * (len(values) - 1)
    below = int(position)
    if parameter.kind in ("bool", "str"):
        return values[below]
    above = min(below + 1, len(values) - 1)
    share = position - below
    return parameter.check((1 - share) * values[below] + share * values[above], where)


def resolve(parameter: Parameter, levels: Iterable[Level], *, name: str, t: float) -> Any:
    """The value from the first level that has one for this tensor, or UNSET.

    >>> resolve(Parameter("t", "float", 0.5), [("parameters", {"t": [{"filter": "mlp", "value": 1}]})], name="attn", t=0)
    unset
    """
    for where, settings in levels:
        given = [word for word in parameter.words if word in settings]
        if len(given) > 1:
            raise ParameterError(f"{where}: {given[0]} and {given[1]} are the same parameter; keep one")
        if given:
            value = evaluate(settings[given[0]], parameter, name=name, t=t, where=where)
            if value is not UNSET:
                return value
    return UNSET


def matches_any(word: str, names: Sequence[str]) -> bool:
    """Whether a filter is part of at least one name."""
    return any(word in name for name in names)
