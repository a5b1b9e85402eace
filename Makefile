# Each target does its own set-up: Python 3 with venv, and make, are all that is needed.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
RUN := OMP_NUM_THREADS=1 $(VENV)/bin/python
INSTALL := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST := -m pytest --numprocesses $(WORKERS) --dist worksteal
INSTALLED := $(VENV)/installed
DOCS_INSTALLED := $(VENV)/docs-installed
LOWEST := .venv-lowest
LOWEST_INSTALLED := $(LOWEST)/installed
OTHER_PYTHONS := 3.10 3.13
# What runs without torch: curves, solvers, beliefs, metrics, checks of input.
WITHOUT_TORCH := tests/metrics $(addprefix tests/test_,$(addsuffix .py, \
	beliefs correction curves improvement numbers optional parameters rate_solver \
	sequential solvers solvers_costs validation))

.PHONY: demo test test-fast test-lowest test-pythons test-wheel coverage docs lint
.PHONY: format clean

demo: $(INSTALLED)  ## The main job on the embedded data, from table to budgets
	$(RUN) -m sklearn_adaalloc

test: $(INSTALLED)  ## The whole suite, slow tests included
	$(RUN) $(PYTEST)

test-fast: $(INSTALLED)  ## All but the slow tests
	$(RUN) $(PYTEST) -m "not slow"

test-lowest: $(LOWEST_INSTALLED)  ## Fast tests on the lowest versions declared
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python $(PYTEST) -m "not slow" -W default tests

test-pythons:  ## What needs no torch, on other Pythons, those that are here
	@for version in $(OTHER_PYTHONS); do \
		if ! python$$version --version >/dev/null 2>&1; then \
			echo "python$$version is not here: not tested"; \
			continue; \
		fi; \
		$(MAKE) --no-print-directory test-python PYTHON_VERSION=$$version || exit 1; \
	done

test-python: OTHER := .venv-$(PYTHON_VERSION)
test-python:
	python$(PYTHON_VERSION) -m venv $(OTHER)
	$(OTHER)/bin/python $(QUIETLY) --no-deps --editable .
	$(OTHER)/bin/python $(QUIETLY) numpy scipy scikit-learn joblib safetensors tqdm \
		matplotlib pandas pytest pytest-xdist hypothesis
	OMP_NUM_THREADS=1 $(OTHER)/bin/python $(PYTEST) $(WITHOUT_TORCH)

coverage: $(INSTALLED)  ## The whole suite, and the lines and branches it leaves out
	$(RUN) $(PYTEST) --cov --cov-report=term-missing:skip-covered

test-wheel: OUTSIDE := $(shell mktemp -d)
test-wheel: $(INSTALLED)  ## The suite on the built wheel, away from this folder
	$(VENV)/bin/python $(INSTALL) build twine
	rm -rf dist && $(VENV)/bin/python -m build
	$(VENV)/bin/python -m twine check --strict dist/*
	test $$(cat dist/*.whl | wc -c) -le 10000000
	tar -xzf dist/*.tar.gz -C $(OUTSIDE) --strip-components 1
	rm -r $(OUTSIDE)/sklearn_adaalloc
	$(PYTHON) -m venv $(OUTSIDE)/venv
	$(OUTSIDE)/venv/bin/python $(INSTALL) "$$(echo dist/*.whl)[test]"
	cd $(OUTSIDE) && OMP_NUM_THREADS=1 venv/bin/python $(PYTEST)
	rm -r $(OUTSIDE)

docs: $(DOCS_INSTALLED)  ## Pages, examples with their pictures; a warning is an error
	$(RUN) -m sphinx -W --keep-going --quiet -b html docs docs/_build/html

lint: $(INSTALLED)  ## Style, without changing a file
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

format: $(INSTALLED)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/python $(INSTALL) --editable '.[test]'
	touch $@

$(DOCS_INSTALLED): $(INSTALLED)
	$(VENV)/bin/python $(INSTALL) --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	rm -rf docs/_build docs/gallery docs/generated .coverage
