# make run     the main job, on real input        make test    the tests that every change must pass
# make lint    style, types, structure            make bench   what it costs
# make test-programs, test-cpython, conformance   the longer suites

PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: run test lint test-programs test-cpython conformance bench setup clean

setup: $(BIN)/supervise

$(BIN)/supervise: pyproject.toml .ci/packages-run
	@.ci/packages .ci/packages-run
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	$(BIN)/python -m compileall -q supervisor shim
	@touch $@

run: setup
	$(BIN)/python tests/demo/demo.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup
	@.ci/packages .ci/packages-test
	$(PYTEST) tests/architecture tests/unit
	$(PYTEST) tests --ignore=tests/programs --ignore=tests/architecture --ignore=tests/unit

test-programs: setup
	@.ci/packages .ci/packages-test tests/programs/PACKAGES
	SUPERVISE_REQUIRE=1 $(PYTEST) tests/programs

test-cpython: setup
	@.ci/packages .ci/packages-test tests/cpython/PACKAGES
	$(BIN)/python -m tests.cpython.compare $(MODULES)

conformance: setup
	@.ci/packages .ci/packages-test
	$(BIN)/python -m tests.conformance.table

bench: setup
	@.ci/packages .ci/packages-test
	$(BIN)/python -m tests.bench

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
