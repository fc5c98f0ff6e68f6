"""For the reference: examples in docstrings become code blocks, which Markdown would else take for quotations and links."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^( *)>>> .*(?:\n *\S.*)*", re.MULTILINE)


class DoctestFences(griffe.Extension):
    """Puts a fence around each run of lines that starts with a prompt."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every object that is read."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """A docstring whose examples stand between fences.

    >>> fenced("A.\\n\\n>>> 1 + 1\\n2\\n\\nB.")
    'A.\\n\\n```pycon\\n>>> 1 + 1\\n2\\n```\\n\\nB.'
    """
    return _EXAMPLE.sub(lambda found: f"{found[1]}```pycon\n{found[0]}\n{found[1]}```", text)
