# Each target does its own set-up: Python 3 with venv, and make, are all that is needed.
PYTHON ?= python3
VENV := .venv
RUN := OMP_NUM_THREADS=1 $(VENV)/bin/python
INSTALLED := $(VENV)/installed

.PHONY: demo test test-fast lint format clean

demo: $(INSTALLED)  ## The main job on the embedded data, from table to budgets
	$(RUN) -m sklearn_adaalloc

test: $(INSTALLED)  ## The whole suite, slow tests included
	$(RUN) -m pytest

test-fast: $(INSTALLED)  ## What runs in about a minute
	$(RUN) -m pytest -m "not slow"

lint: $(INSTALLED)  ## Style, without changing a file
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

format: $(INSTALLED)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
