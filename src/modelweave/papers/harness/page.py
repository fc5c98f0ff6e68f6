"""The page of evidence: every paper with its state, and what each experiment printed."""

from __future__ import annotations

from collections.abc import Sequence

from ...text.tables import as_markdown
from ..index import PAPERS, Paper
from .experiment import Result
from .table import WORDS, result_text

_HEAD = """# Evidence

Each paper is an experiment with its claim, rivals, several seeds, and controls that fail. `modelweave reproduce NN` runs one on any
seeds; `modelweave reproduce --all --page docs/evidence.md` writes this page. A claim that does not hold at this size says so. What stands
before a check:

- a claim, which decides: {claim}
- a control, the method without its working part, which decides, too: {control}
- an invariant, an identity that only an error can break: {invariant}
- a report, which decides nothing: {report}, and `report` where nothing is expected

"""


def evidence_page(results: Sequence[Result]) -> str:
    """Markdown: the list of all papers, then the table and checks of each result."""
    found = {result.paper: result for result in results}
    rows = [(p.number, p.title, p.level, _state(p, found.get(p.number))) for p in PAPERS.values()]
    head = _HEAD.format(**{kind: " or ".join(f"`{word}`" for word in dict.fromkeys(words)) for kind, words in WORDS.items()})
    return head + as_markdown(("Paper", "Title", "Level", "Experiment"), rows) + "".join(_section(result) for result in results)


def _state(paper: Paper, result: Result | None) -> str:
    if result is None:
        return "not run here" if paper.module else "not yet"
    return "holds" if result.holds else "does not hold at this size"


def _section(result: Result) -> str:
    command = f"modelweave reproduce {result.paper} --seeds {','.join(map(str, result.seeds))}"
    return f"\n## {result.paper} {result.title}\n\n`{command}`\n\n```\n{result_text(result)}\n```\n"
