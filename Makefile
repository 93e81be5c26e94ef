# On a fresh machine with Python 3.11 or newer: make demo, make test, make docs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Tests on every core; those of a file stay together, as they share what they made.
PARALLEL := --numprocesses auto --dist loadfile

.PHONY: demo test lint docs test-light clean
# What runs without torch: the device, data sets, recipes. LIGHT is an environment of its own.
LIGHT := .venv-light
LIGHT_TESTS := tests/edge tests/test_architecture.py tests/trainer/test_recipe.py tests/trainer/test_dataset.py \
	tests/trainer/test_data_*.py tests/trainer/test_formats_*.py tests/trainer/test_seq_npz.py tests/trainer/test_label.py \
	tests/trainer/test_pool.py tests/trainer/test_others.py tests/trainer/test_splits.py tests/trainer/test_synthetic.py tests/trainer/test_view.py

# First the built-in model on its example, then everything from the start.
demo: $(INSTALLED)
	$(BIN)/asma-edge run irds9 --source example
	test -d runs/demo/data || $(BIN)/asma-data synth runs/demo/data
	$(BIN)/python examples/end_to_end.py --data runs/demo/data --recipe demo --out runs/demo

test: $(INSTALLED) lint
	$(BIN)/pytest $(PARALLEL)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The guides and the reference from the docstrings, in site/.
docs: $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

test-light:
	test -d $(LIGHT) || $(PYTHON) -m venv $(LIGHT)
	$(LIGHT)/bin/pip install --quiet --disable-pip-version-check -e '.[test]'
	$(LIGHT)/bin/pytest $(PARALLEL) $(LIGHT_TESTS)

# torch is pinned: an open range can pull a CUDA build of several gigabytes.
$(INSTALLED): pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) .venv-* site runs/demo
