# One command each; the first one on a machine makes a virtual environment and installs everything into it.
PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test slow lint bench docs clean

$(READY): pyproject.toml setup.py src/modelweave/engine/kernels.c src/modelweave/engine/kernels_real.h src/modelweave/engine/formulas.h src/modelweave/outputs/predictions/log_sums.c
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[dev]" "$(TORCH)"
	touch $(READY)

demo: $(READY)
	$(BIN)/modelweave demo demo-out

# two processes of one thread each; numerical libraries would start more and wait for each other
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --quiet

slow: $(READY)
	$(BIN)/python -m pytest -m slow --quiet

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python benchmarks/bench.py
	$(BIN)/python benchmarks/matrices.py

docs: $(READY)
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site demo-out
