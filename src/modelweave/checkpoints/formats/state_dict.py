"""Which mapping of a value is the state dict: the value itself, or one inside it, as in a training checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...errors import CheckpointError

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params")
"""Under which keys training loops keep it."""
_EXTRA = "_extra_state"
"""How PyTorch calls what a module keeps beside its tensors, whatever that is."""
_LONGEST_KEY = 1 << 63


def state_dict_in(value: Mapping[Any, Any], where: str, is_tensor: Callable[[Any], bool]) -> tuple[Mapping[Any, Any], dict[str, str]]:
    """The mapping that holds the tensors, and what stands around it, with the reason why that is left out.

    Raises CheckpointError where several mappings hold tensors and none of them has one of the names in WRAPPERS.
    """

    def holds_tensors(entry: Any) -> bool:
        return isinstance(entry, Mapping) and any(is_tensor(inner) for inner in entry.values())

    loose = [key for key, entry in value.items() if is_tensor(entry)]
    holders = [key for key, entry in value.items() if holds_tensors(entry) and not str(key).endswith(_EXTRA)]
    named = [key for key in holders if key in WRAPPERS]
    if not holders:
        return value, {}
    found = named if len(named) == 1 else holders
    if len(found) > 1 or (loose and not named):
        words = ", ".join(repr(str(key)[:40]) for key in [*loose[:2], *found][:8])
        raise CheckpointError(f"{where}: has tensors under several keys ({words}), expected one state dict; save the one you mean")
    around = {name_of(key, where): f"it is {described(entry)} beside the state dict" for key, entry in value.items() if key != found[0]}
    return value[found[0]], around


def name_of(key: Any, where: str) -> str:
    """A mapping's key as a tensor's name."""
    if isinstance(key, str):
        return key
    if isinstance(key, int) and abs(key) < _LONGEST_KEY:
        return str(key)
    raise CheckpointError(f"{where}: has a key that is {described(key)}, expected the name of a tensor; save a state dict")


def described(value: Any) -> str:
    """A value in a few words, without looking deep into it.

    >>> described(3), described({"a": 1})
    ('the number 3', 'a mapping of 1')
    """
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, (int, float)):
        return f"the number {value!r}" if isinstance(value, float) or abs(value) < 10**30 else "a long number"
    if isinstance(value, (str, bytes)):
        return f"the text {value[:40]!r}"
    if isinstance(value, Mapping):
        return f"a mapping of {len(value)}"
    if isinstance(value, (list, tuple, set)):
        return f"a list of {len(value)}"
    return "a tensor" if hasattr(value, "shape") else "a value of another kind"
