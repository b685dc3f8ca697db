# make run     the main job, on real input        make test    the tests that every change must pass
# make lint    style, types, structure            make bench   what it costs
# make test-programs, test-cpython, test-suites, conformance   the longer suites

PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: run test lint test-programs test-cpython test-suites conformance bench setup clean

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

test-suites: setup
	$(BIN)/python -m tests.suites.compare $(SUITES)

# All three are run, whatever the first one says. WRITE=--write puts the tables into docs/conformance.md.
conformance: setup
	@.ci/packages .ci/packages-test tests/cpython/PACKAGES
	@status=0; \
	$(BIN)/python -m tests.conformance.table --differences $(WRITE) || status=1; \
	$(BIN)/python -m tests.cpython.compare --all $(WRITE) || status=1; \
	$(BIN)/python -m tests.suites.compare $(WRITE) || status=1; \
	exit $$status

bench: setup
	@.ci/packages .ci/packages-test
	$(BIN)/python -m tests.bench

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
