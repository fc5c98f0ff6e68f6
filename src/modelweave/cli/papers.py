"""`modelweave papers`: the papers whose methods are here."""

from __future__ import annotations

from dataclasses import asdict

from .options import Json
from .printing import show_json, show_table


def papers(json: Json = False) -> None:
    """List the papers, and which of them `reproduce` can check.

    \b
    Example:
      modelweave papers
    """
    from ..papers.index import PAPERS

    if json:
        return show_json([{**asdict(paper), "experiment": bool(paper.module)} for paper in PAPERS.values()])
    rows = [(p.number, p.title, p.arxiv or "-", p.level, "yes" if p.module else "no") for p in PAPERS.values()]
    show_table(("number", "title", "arXiv", "level", "experiment"), rows)
