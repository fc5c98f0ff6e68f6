"""The page of a report."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

from modelweave.text.page import bullets, heading, html_page, paragraph, picture
from modelweave.text.tables import as_html


class Balance(HTMLParser):
    """Every tag that opens closes in its turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_is_whole_and_fetches_nothing() -> None:
    parts = [
        paragraph("a <b>", "c", kind="yes"),
        "",
        heading("d & e"),
        as_html(("x",), [("<i>",)]),
        bullets(["f"]),
        picture('"g"', b"\x89PNG"),
    ]
    page = html_page("a < b", parts)
    found = Balance(page)
    assert not found.open and {"p", "h1", "h2", "table", "li", "img", "br"} <= found.seen and not {"b", "i", "script"} & found.seen
    assert not re.search(r'(src|href)="(?!data:)|@import|url\(', page)
    (image,) = re.findall(r"base64,([^\"]+)", page)
    assert base64.b64decode(image) == b"\x89PNG" and 'alt="&quot;g&quot;"' in page
    assert "prefers-color-scheme: dark" in page and '<p class="yes">a &lt;b&gt;<br>c</p>' in page
