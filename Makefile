# Needs Python 3.11 or later, pip and make; everything else goes into .venv.
# Use another Python with: make PYTHON=/path/to/python3.12

.SHELLFLAGS := -euc
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

FIND_PYTHON = for p in python3 python3.11 python3.12 python3.13; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done
PYTHON ?= $(shell $(FIND_PYTHON))
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt --editable
PINS := pyproject.toml constraints.txt
OUT ?= demo
PYTEST_ARGS ?=
BENCH_ARGS ?=

.PHONY: help demo test lint format types imports docs errors bench bench-speed bench-links bench-scale constraints clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.base ## simulate two modalities, integrate them, write demo/report.html
	$(BIN)/omicsglue demo --out $(OUT)
	@echo "Open $(OUT)/report.html in a browser."

test: $(VENV)/.test ## run the whole test suite
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.dev ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev ## mend style and formatting where that is safe
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev ## check types
	$(BIN)/mypy --strict src

imports: $(VENV)/.dev ## check who imports whom
	$(BIN)/lint-imports

docs: $(VENV)/.dev ## build docs/_build/html; warnings are errors
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs docs/_build/html
	@echo "Open docs/_build/html/index.html in a browser."

errors: $(VENV)/.test ## write docs/errors.md anew from the messages
	$(BIN)/python tests/errors_page.py

bench: $(VENV)/.test ## measure speed and quality
	$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

bench-speed: $(VENV)/.base ## measure speed beside scglue, in .venv-scglue (an hour; BENCH_ARGS=--small: 10 minutes)
	$(BIN)/python benchmarks/speed.py $(BENCH_ARGS)

bench-scale: $(VENV)/.test ## measure growth with cells on disk, to 500,000 (two hours; BENCH_ARGS=--small: minutes)
	$(BIN)/python benchmarks/scale.py --out scale $(BENCH_ARGS)

bench-links: $(VENV)/.test ## measure regulatory links beside scglue's (two hours; BENCH_ARGS=--small: 10 minutes)
	$(BIN)/python benchmarks/links.py $(BENCH_ARGS)

constraints: $(VENV)/.dev ## write the installed versions to constraints.txt
	@{ sed '/^[^#]/,$$d' constraints.txt; \
	   $(PIP) freeze --exclude-editable | sed 's/+[A-Za-z0-9.]*$$//'; } > constraints.new
	@mv constraints.new constraints.txt

clean: ## remove what the other targets made, .venv among it
	rm -rf $(VENV) .venv-scglue demo docs/_build docs/api build dist .pytest_cache .mypy_cache .ruff_cache \
	  .import_linter_cache .hypothesis .coverage
	find src tests docs benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: made again when the pins change, so that a second run starts at once.

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later was not found; set PYTHON=/path/to/python" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than Python 3.11; set PYTHON=/path/to/python" >&2; exit 2; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { \
	  $(PYTHON) -m venv --without-pip $(VENV) && \
	  $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	@touch $@

$(VENV)/.base: $(PINS) | $(VENV)/.made
	@echo "Installing omicsglue (the first time takes some minutes)"
	@$(INSTALL) .
	@touch $@

$(VENV)/.test: $(PINS) | $(VENV)/.made
	@echo "Installing omicsglue and what its tests need (the first time takes some minutes)"
	@$(INSTALL) '.[test]'
	@touch $@ $(VENV)/.base

$(VENV)/.dev: $(PINS) | $(VENV)/.made
	@echo "Installing omicsglue and what its developers need (the first time takes some minutes)"
	@$(INSTALL) '.[dev]'
	@touch $@ $(VENV)/.base $(VENV)/.test
