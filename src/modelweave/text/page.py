"""The one HTML page that reports are made of: opens from disk, no script, no network, pictures inside, in light or dark."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape

_STYLE = """
:root { color-scheme: light dark; --line: #ddd; --faint: #666; --yes: #2a7; --no: #c83; }
@media (prefers-color-scheme: dark) { :root { --line: #444; --faint: #aaa; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left; }
.number { text-align: right; font-variant-numeric: tabular-nums; } .wide { overflow-x: auto; }
figure { margin: 1rem 0; } img { max-width: 100%; background: white; }
.yes, .no { padding: .8rem 1rem; border-left: 5px solid var(--yes); }
.no { border-color: var(--no); } .small { font-size: .85rem; color: var(--faint); }
"""


def html_page(title: str, parts: Iterable[str]) -> str:
    """A whole page of such parts; empty ones are left out.

    >>> html_page("a < b", [heading("c")]).splitlines()[-1]
    '<body><h1>a &lt; b</h1><h2>c</h2></body></html>'
    """
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title><style>{_STYLE}</style>'
    body = "\n".join(part for part in parts if part)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><h1>{escape(title)}</h1>{body}</body></html>\n'


def heading(text: str) -> str:
    """What stands above a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(*lines: str, kind: str = "") -> str:
    """Lines of text. kind: `yes` and `no` mark a verdict, `small` what matters less."""
    mark = f' class="{kind}"' if kind else ""
    return f"<p{mark}>{'<br>'.join(map(escape, lines))}</p>"


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def picture(name: str, png: bytes) -> str:
    """A figure from the bytes of a PNG file. name: what is read to who does not see it."""
    return f'<figure><img alt="{escape(name)}" src="data:image/png;base64,{base64.b64encode(png).decode()}"></figure>'
