"""A small machine for the opcodes that files of weights use. It makes plain values and stand-ins; it imports and runs nothing."""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import IO, Any

from ...errors import CheckpointError
from .pickle_globals import Damaged, Ordered, call, damaged, persistent, resolve

_MARK: Any = object()
_CONSTANT: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_SET": set}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_SIMPLE = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_STORE = frozenset(["PUT", "BINPUT", "LONG_BINPUT"])
_FETCH = frozenset(["GET", "BINGET", "LONG_BINGET"])
_MARKS = frozenset(["MARK", "PROTO", "FRAME"])
_PLAIN = frozenset([*_SIMPLE, *_STORE, *_FETCH, *_MARKS, *_CONSTANT, *_EMPTY, *_TUPLES])
# a warning where Python is asked to raise them: pickletools decodes the escapes in a name
_DAMAGE = (ValueError, LookupError, TypeError, EOFError, OverflowError, MemoryError, AttributeError, RecursionError, Warning)
_HASHABLE = (str, int, float, bytes, type(None))


def unpickle(stream: IO[bytes], where: str) -> Any:
    """The value of the pickle that begins at the stream's position, which is left behind the pickle.

    Tensors come as `Stored`. Raises UnsafeFileError for a name outside the table of pickle_globals, CheckpointError for damage.
    An own machine, because the one of Python allocates whatever a hostile memo index or length asks for.
    """
    machine = _Machine(where)
    try:
        while code := stream.read(1):
            opcode = pickletools.code2op[code.decode("latin-1")]  # type: ignore[attr-defined]
            if opcode.name == "STOP":
                return machine.pop()
            machine.check(opcode.name)
            machine.step(opcode.name, None if opcode.arg is None else opcode.arg.reader(stream))
    except CheckpointError:
        raise
    except Damaged as error:
        raise damaged(where, error) from None
    except _DAMAGE as error:
        raise CheckpointError(f"{where}: its pickle is damaged or cut short; copy or download it again") from error
    raise CheckpointError(f"{where}: its pickle is damaged or cut short; copy or download it again")


class _Machine:
    def __init__(self, where: str) -> None:
        self.where = where
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def check(self, name: str) -> None:
        """Refuse an operation before its argument is decoded."""
        if name not in _PLAIN and not hasattr(self, "do_" + name.lower()):
            raise Damaged(f"the operation {name}, which no file of weights needs")

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _SIMPLE:
            stack.append(argument)
        elif name in _FETCH:
            stack.append(self.memo[int(argument)])
        elif name in _STORE:
            self.memo[int(argument)] = self.top()
        elif name == "MARK":
            stack.append(_MARK)
        elif name in _CONSTANT:
            stack.append(_CONSTANT[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            count = _TUPLES[name]
            stack.append(tuple(self.pop() for _ in range(count))[::-1])
        elif name not in _MARKS:
            getattr(self, "do_" + name.lower())(argument)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise Damaged("a mark where a value belongs")
        return value

    def top(self) -> Any:
        if self.stack[-1] is _MARK:
            raise Damaged("a mark where a value belongs")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise Damaged("no mark where one belongs")
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def do_memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.top()

    def do_pop(self, _: Any) -> None:
        self.stack.pop()

    def do_pop_mark(self, _: Any) -> None:
        self.since_mark()

    def do_dup(self, _: Any) -> None:
        self.stack.append(self.top())

    def do_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.since_mark()))

    def do_list(self, _: Any) -> None:
        self.stack.append(self.since_mark())

    def do_dict(self, _: Any) -> None:
        values = self.since_mark()
        self.stack.append({})
        self.fill(values)

    def do_append(self, _: Any) -> None:
        value = self.pop()
        self.extend([value])

    def do_appends(self, _: Any) -> None:
        self.extend(self.since_mark())

    def do_setitem(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self.fill([key, value])

    def do_setitems(self, _: Any) -> None:
        self.fill(self.since_mark())

    def do_additems(self, _: Any) -> None:
        self.add(self.since_mark())

    def do_frozenset(self, _: Any) -> None:
        values = self.since_mark()
        self.stack.append(set())
        self.add(values)

    def do_global(self, argument: Any) -> None:
        module, _, name = str(argument).partition(" ")
        self.stack.append(resolve(module, name, self.where))

    def do_stack_global(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise Damaged("a name that is no text")
        self.stack.append(resolve(module, name, self.where))

    def do_inst(self, argument: Any) -> None:
        module, _, name = str(argument).partition(" ")
        arguments = tuple(self.since_mark())
        self.stack.append(call(resolve(module, name, self.where), arguments))

    def do_obj(self, _: Any) -> None:
        values = self.since_mark()
        self.stack.append(call(values[0], tuple(values[1:])))

    def do_reduce(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        self.stack.append(call(function, arguments))

    do_newobj = do_reduce

    def do_build(self, _: Any) -> None:
        self.pop()
        # attributes of an OrderedDict (a state dict's version numbers) say nothing about its tensors
        if not isinstance(self.top(), Ordered):
            raise Damaged("an object with attributes")

    def do_binpersid(self, _: Any) -> None:
        self.stack.append(persistent(self.pop()))

    def add(self, values: list[Any]) -> None:
        target = self.top()
        if not isinstance(target, set) or not all(isinstance(value, _HASHABLE) for value in values):
            raise Damaged("a set of something else than text and numbers")
        target.update(values)

    def extend(self, values: list[Any]) -> None:
        target = self.top()
        if not isinstance(target, list):
            raise Damaged("an append to what is no list")
        target.extend(values)

    def fill(self, values: list[Any]) -> None:
        target = self.top()
        if not isinstance(target, dict) or len(values) % 2:
            raise Damaged("an entry for what is no mapping")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # a hash of nested tuples would use up the interpreter's stack
            if not isinstance(key, _HASHABLE):
                raise Damaged("a mapping with keys other than text and numbers")
            target[key] = value
