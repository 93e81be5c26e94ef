# Two commands do everything on a fresh machine with Python 3.11 or newer: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test lint clean

# First the built-in model on its example, then everything from the start.
demo: $(INSTALLED)
	$(BIN)/asma-edge run irds9 --source example
	test -d runs/demo/data || $(BIN)/asma-data synth runs/demo/data
	$(BIN)/python examples/end_to_end.py --data runs/demo/data --recipe demo --out runs/demo

test: $(INSTALLED) lint
	$(BIN)/pytest

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# torch is pinned: an open range can pull a CUDA build of several gigabytes.
$(INSTALLED): pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) runs/demo
