"""The only names that a pickle may use, each with a harmless stand-in; no code of the pickle's choosing ever runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import CheckpointError, UnsafeFileError
from ..dtypes import TAG_OF_TORCH

_MOST_AXES = 64
_MOST_TEXT = 1 << 10
"""Bytes that one call may make, so that a small file cannot ask for much memory by calling often."""


class Damaged(Exception):
    """The pickle does not make sense; its reader says in which file."""


@dataclass(frozen=True)
class Word:
    """A type or constant that is only named: a storage type, a dtype, a device."""

    name: str
    dtype: str | None = None


@dataclass(frozen=True)
class Storage:
    """A run of elements in the file. dtype None: untyped, `count` is in bytes."""

    key: str
    dtype: str | None
    count: int
    type_name: str


@dataclass(frozen=True)
class Stored:
    """A tensor as a view into a storage; offset and strides in elements. dtype None: a type that is not read here."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str | None
    type_name: str


class Ordered(dict[Any, Any]):
    """Stands in for collections.OrderedDict, whose attributes are of no interest."""


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any = None, hooks: Any = None, metadata: Any = None
) -> Stored:
    if not isinstance(storage, Storage):
        raise Damaged("a tensor without a storage")
    return _view(storage, offset, shape, strides, storage.dtype, storage.type_name, metadata)


def _typed_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any, hooks: Any, dtype: Any, metadata: Any = None
) -> Stored:
    if not isinstance(storage, Storage) or not isinstance(dtype, Word):
        raise Damaged("a tensor without a storage or dtype")
    return _view(storage, offset, shape, strides, dtype.dtype, dtype.name, metadata)


def _view(storage: Storage, offset: Any, shape: Any, strides: Any, dtype: str | None, type_name: str, metadata: Any) -> Stored:
    if metadata:
        raise Damaged("a tensor that is stored conjugated or negated")
    numbers = (offset, *shape, *strides) if isinstance(shape, tuple) and isinstance(strides, tuple) else (None,)
    if not all(type(n) is int and 0 <= n < 1 << 63 for n in numbers) or not len(shape) == len(strides) <= _MOST_AXES:
        raise Damaged("a tensor whose shape and strides do not fit")
    return Stored(storage, offset, shape, strides, dtype, type_name)


def _parameter(data: Any, requires_grad: Any = None, hooks: Any = None, state: Any = None) -> Any:
    return data


def _of_type(function: Any, kind: Any, arguments: Any, state: Any = None) -> Any:
    if function not in _CALLABLE or not isinstance(kind, Word) or not isinstance(arguments, tuple):
        raise Damaged("a tensor of a type of its own")
    return function(*arguments)


def _size(lengths: Any = ()) -> tuple[Any, ...]:
    if not isinstance(lengths, (list, tuple)) or len(lengths) > _MOST_AXES:
        raise Damaged("a shape that is no list of lengths")
    return tuple(lengths)


def _ordered(pairs: Any = ()) -> Ordered:
    if pairs:
        raise Damaged("an OrderedDict that is made from a list")
    return Ordered()


def _device(*words: Any) -> Word:
    return Word("torch.device")


def _encoded(text: Any, encoding: Any = "utf-8") -> bytes:
    # how pickles of protocol 2 write bytes
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8"):
        raise Damaged("bytes in an unknown encoding")
    if len(text) > _MOST_TEXT:
        raise Damaged("more bytes in one piece than a state dict needs")
    return text.encode(encoding)


def _refused(kind: str) -> Callable[..., Any]:
    def refuse(*arguments: Any) -> Any:
        raise Damaged(f"a {kind} tensor, which cannot be merged")

    return refuse


_STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
    "ComplexFloatStorage": None,
    "ComplexDoubleStorage": None,
    "QInt8Storage": None,
    "QUInt8Storage": None,
    "QInt32Storage": None,
    "UntypedStorage": None,
}
_OTHER_DTYPES = (
    *("complex32", "complex64", "complex128", "qint8", "quint8", "qint32"),
    *("float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"),
)
_SCHEMES = ("per_tensor_affine", "per_channel_affine", "per_tensor_symmetric", "per_channel_symmetric")
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed_tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _of_type,
    "torch._utils._rebuild_qtensor": _refused("quantised"),
    "torch._utils._rebuild_sparse_tensor": _refused("sparse"),
    "torch._utils._rebuild_nested_tensor": _refused("nested"),
    "torch._utils._rebuild_meta_tensor_no_storage": _refused("data-free (meta)"),
    "torch.serialization._get_layout": _device,
    "torch.Size": _size,
    "torch.device": _device,
    "collections.OrderedDict": _ordered,
    "_codecs.encode": _encoded,
}
_CALLABLE = frozenset(_FUNCTIONS.values())


def _table() -> Mapping[str, Any]:
    words: dict[str, Any] = dict(_FUNCTIONS)
    for module in ("torch", "torch.cuda", "torch.storage"):
        words.update({f"{module}.{name}": Word(f"{module}.{name}", tag) for name, tag in _STORAGES.items()})
    words.update({f"torch.{name}": Word(f"torch.{name}", tag) for name, tag in TAG_OF_TORCH.items()})
    words.update({f"torch.{name}": Word(f"torch.{name}") for name in (*_OTHER_DTYPES, *_SCHEMES)})
    for name in ("torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"):
        words[name] = Word(name)
    return words


_KNOWN = _table()


def resolve(module: str, name: str, where: str) -> Any:
    """The stand-in for a name, or an UnsafeFileError that says what the file asks for."""
    word = f"{module}.{name}"
    if word in _KNOWN:
        return _KNOWN[word]
    # the modules that pickle and the operating system name differently
    modern = {"__builtin__": "builtins", "posix": "os", "nt": "os", "commands": "subprocess"}.get(module, module)
    shown = f"{modern}.{name}".encode("ascii", "backslashreplace").decode()[:120]
    raise UnsafeFileError(
        f"{where} asks to run '{shown}', which no file of weights needs; nothing was run: "
        "save the model's state_dict as safetensors where you trust it, and use that"
    )


def call(function: Any, arguments: Any) -> Any:
    """The result of a stand-in; only those that are functions are called."""
    if not isinstance(arguments, tuple) or not callable(function) or function not in _CALLABLE:
        raise Damaged("a call of something that is no function")
    try:
        return function(*arguments)
    except (TypeError, ValueError, UnicodeError) as error:
        raise Damaged("a call with the wrong arguments") from error


def persistent(reference: Any) -> Storage:
    """The storage that a persistent id of torch.save stands for."""
    if not isinstance(reference, tuple) or not 5 <= len(reference) <= 6:
        raise Damaged("an unknown kind of reference")
    kind, type_, key, _location, count = reference[:5]
    known = kind == "storage" and isinstance(type_, Word) and isinstance(key, (str, int))
    if known and type(count) is int and 0 <= count < 1 << 63:
        if len(reference) == 6 and reference[5] is not None:
            raise Damaged("a view into another storage, as PyTorch 0.3 wrote it")
        return Storage(str(key)[:200], type_.dtype, count, type_.name)
    raise Damaged("an unknown kind of reference")


def damaged(where: str, why: object) -> CheckpointError:
    """The error for a pickle that does not make sense."""
    return CheckpointError(f"{where}: its pickle holds {why}; load it with PyTorch where you trust it and save it again as safetensors")
