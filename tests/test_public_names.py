"""The public names: all there, loaded late, documented, and clear about what is not installed."""

from __future__ import annotations

import ast
import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import modelweave

ROOT = Path(__file__).parents[1]
NAMESPACES = ["modelweave", *(f"modelweave.{name}" for name in modelweave.__all__ if isinstance(getattr(modelweave, name), ModuleType))]
NAMESPACES.remove("modelweave.catalog")
NAMES = [(space, name) for space in NAMESPACES for name in import_module(space).__all__]
FORMER = (
    *("Continual", "EnsLoss", "LEARNERS", "METHODS", "MergeResult", "Prepared", "UniversalMixture", "effective_parameters", "greedy_soup"),
    *("member_masks", "prompt_weights", "recall_vs_area", "recover", "universal_mixture"),
)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize(("space", "name"), NAMES, ids=[f"{space}.{name}" for space, name in NAMES])
def test_every_name_leads_somewhere(space: str, name: str) -> None:
    assert getattr(import_module(space), name) is not None


@pytest.mark.parametrize("space", NAMESPACES)
def test_no_name_is_a_submodule_s(space: str) -> None:
    """A submodule of the same name would take the name's place once something imports it."""
    module: Any = import_module(space)
    inside = {found.name for found in pkgutil.iter_modules(getattr(module, "__path__", []))}
    values = {name for name in module.__all__ if not isinstance(getattr(module, name), (ModuleType, str))}
    assert not inside & values
    assert len(set(module.__all__)) == len(module.__all__)


def test_names_that_were_at_the_root_are_still_importable_there() -> None:
    for name in FORMER:
        assert getattr(modelweave, name) is not None
        assert name not in modelweave.__all__


def test_the_reference_has_every_name_once() -> None:
    written = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "reference.md").read_text(encoding="utf-8"), re.MULTILINE)
    expected = [f"{space}.{name}" for space, name in NAMES if name != "__version__"]
    modules = {
        name for name in expected if isinstance(getattr(import_module(name.rpartition(".")[0]), name.rpartition(".")[2]), ModuleType)
    }
    assert sorted(written) == sorted(set(expected) - modules), "run: python docs/make_pages.py"


def imported(text: str) -> list[tuple[str, str]]:
    """The modules and names that Python code takes from modelweave."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.module]
    return [
        (node.module or "", name.name) for node in nodes if (node.module or "").partition(".")[0] == "modelweave" for name in node.names
    ]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_the_documentation_imports_public_names_only(page: Path) -> None:
    for text in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for module, name in imported(text):
            assert module in NAMESPACES and (name in import_module(module).__all__ or f"{module}.{name}" in NAMESPACES), f"{module}.{name}"


def test_estimators_without_scikit_learn_say_what_to_install() -> None:
    code = "\n".join(
        (
            "import sys; sys.modules['sklearn'] = None; import modelweave",
            "try: modelweave.BlendClassifier",
            "except modelweave.ModelweaveError as error: print(error)",
        )
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "this needs 'scikit-learn', which is not installed; run: pip install 'modelweave[tabular]'\n"


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, modelweave; print(sorted({'torch', 'numpy', 'sklearn', 'scipy', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
