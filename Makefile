# `make demo` and `make test` do all their own set-up, in .venv, on a machine that has only Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS ?= dev

.PHONY: demo test lint types unit setup bench clean

setup: $(VENV)/.ready

# Rebuilt when what is asked for changes; silent otherwise.
$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "setting up $(VENV) (a minute or so)" >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 …" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

demo: setup
	@$(BIN)/onethinker demo --out demo

test: lint types unit

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .

types: setup
	@$(BIN)/mypy --no-error-summary

unit: setup
	@$(BIN)/python -m pytest

clean:
	rm -rf $(VENV) demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
