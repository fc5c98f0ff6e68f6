"""From the measurements to the table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from measure import Cost
from methods import METHODS

TITLE = """# Benchmarks

Whole processes, page cache warm, runs interleaved, those under 15 seconds five times a round; `make bench` writes this page, except for
the sections that name a script of their own.
Inputs are Llama-shaped bfloat16 checkpoints of random numbers: a base and three fine-tunes. The floor is `cat` of a method's
input files to /dev/null plus `cp` of one output. Before each run of either tool and of the floor a file of the output's size is
written and removed, so that no run pays for pages that a virtual machine had handed back to its host.
Seconds are the best of the runs (the median in brackets). Start-up is the
whole process on a model of 70 thousand parameters. "Floors" is (seconds - start-up) / floor. Peak memory is what `getrusage`
reports and counts mapped pages of the inputs, which the system takes back when it needs them.
"""


def summary(costs: Sequence[Cost]) -> dict[str, float]:
    """Best and median seconds, CPU seconds of the best run, peak bytes of the worst."""
    best = min(costs, key=lambda cost: cost.wall)
    return {
        "best": best.wall,
        "median": median(cost.wall for cost in costs),
        "cpu": best.cpu,
        "peak": max(cost.peak for cost in costs),
        "runs": len(costs),
    }


def rows(result: dict[str, Any]) -> list[list[str]]:
    """The table of one run, as words: head first."""
    peer = "mergekit" in result["tools"]
    head = ["method", "floor s", "modelweave s", "CPU s", "peak GB", "floors"]
    table = [head + (["mergekit s", "peak GB", "times faster", "goal"] if peer else [])]
    start = result["tools"]["modelweave"]["startup"]["best"]
    for method, own in result["tools"]["modelweave"]["methods"].items():
        floor = result["floors"][str(len(METHODS[method].inputs))]["best"]
        line = [method, f"{floor:.2f}", _seconds(own), f"{own['cpu']:.1f}", _gigabytes(own)]
        line.append(f"{max(0.0, own['best'] - start) / floor:.2f}")
        if peer:
            other = result["tools"]["mergekit"]["methods"][method]
            ratio = other["best"] / own["best"]
            line += [_seconds(other), _gigabytes(other), f"{ratio:.1f}", f"{METHODS[method].goal:g}"]
        table.append(line)
    return table


def page(results: dict[str, Any], matrices: dict[str, Any] | None = None, sections: dict[str, Any] | None = None) -> str:
    """docs/benchmarks.md: one section for each size that was measured, one for methods on matrices, and those of other scripts."""
    parts = [TITLE]
    for size, result in results.items():
        starts = [f"{tool} {found['startup']['best']:.2f} s" for tool, found in result["tools"].items()]
        machine = result["machine"]
        parts.append(f"## {result['parameters'] / 1e6:,.0f} M parameters\n")
        about = f"{machine['cores']} cores, {machine['memory_gb']} GB of memory, {machine['system']}"
        parts.append(f"{about}; {result['date']}. Start-up: {', '.join(starts)}.\n")
        head, *body = rows(result)
        parts.append(_markdown(head, body))
        parts.append(f"Again: `python benchmarks/bench.py --size {size} --runs {result['runs']}`\n")
    if matrices:
        parts.append("## Spectral methods\n")
        parts.append(
            "A method on a stack of random square matrices, one thread, against the decompositions that its formula needs at least,\n"
            "both timed in the same run: `python benchmarks/matrices.py`. A ratio of 1 is the decompositions' own time.\n"
        )
        head = ["matrices", "method", "needs", "needs s", "method s", "ratio"]
        parts.append(_markdown(head, [[label, *line] for label, found in matrices.items() for line in found], words=3))
    for title, found in (sections or {}).items():
        parts.append(f"## {title}\n\n{found['about']}\n\n{_markdown(*found['table'])}")
    return "\n".join(parts)


def _markdown(head: list[str], body: list[list[str]], words: int = 1) -> str:
    """A table whose first columns hold words and whose others hold numbers."""
    lines = [head, ["---"] * words + ["---:"] * (len(head) - words), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def terminal(table: list[list[str]]) -> str:
    """The table in columns for a terminal.

    >>> print(terminal([["method", "s"], ["ties", "1.25"]]))
    method     s
    ties    1.25
    """
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in table)


def write(result: dict[str, Any], *, json_file: Path, docs: Path) -> None:
    """Put this size's result in the JSON file, keep the other sizes', and write the page anew."""
    _keep(json_file, result["size"], result)
    write_page(json_file, docs)


def write_matrices(label: str, lines: list[list[str]], *, json_file: Path, docs: Path) -> None:
    """Put the ratios of one stack of matrices beside the others, and write the page anew."""
    _keep(json_file.with_name("matrices.json"), label, lines)
    write_page(json_file, docs)


def write_section(title: str, about: str, head: list[str], body: list[list[str]], *, folder: Path = Path(__file__).parent) -> None:
    """Put a script's table under its title, keep the others', and write the page anew."""
    _keep(folder / "sections.json", title, {"about": about, "table": [head, body]})
    write_page(folder / "results.json", folder.parent / "docs" / "benchmarks.md")


def write_page(json_file: Path, docs: Path) -> None:
    """The page from what is stored."""
    docs.parent.mkdir(parents=True, exist_ok=True)
    stored = [_stored(json_file), *(_stored(json_file.with_name(name)) for name in ("matrices.json", "sections.json"))]
    docs.write_text(page(*stored), encoding="utf-8")


def _stored(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def _keep(file: Path, key: str, value: Any) -> None:
    file.write_text(json.dumps({**_stored(file), key: value}, indent=2) + "\n", encoding="utf-8")


def _seconds(found: dict[str, float]) -> str:
    return f"{found['best']:.2f} ({found['median']:.2f})"


def _gigabytes(found: dict[str, float]) -> str:
    return f"{found['peak'] / 1e9:.1f}"
