"""The public names: all there, loaded late, and clear about what is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import modelweave


@pytest.mark.parametrize("name", modelweave.__all__)
def test_every_name_leads_somewhere(name: str) -> None:
    assert getattr(modelweave, name) is not None


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
