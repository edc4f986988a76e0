# `make demo` and `make test` do all their own set-up, in .venv, on a machine that has only Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types unit faults loaders clean

demo: $(VENV)/.demo
	@$(BIN)/onethinker demo --out demo

test: lint types unit

lint: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .

types: $(VENV)/.test
	@$(BIN)/mypy --no-error-summary

unit: $(VENV)/.test
	@$(BIN)/python -m pytest --numprocesses 3

# The fault tests of annotation at full size: a quarter of an hour.
faults: $(VENV)/.test
	@ONETHINKER_FAULT_SAMPLES=2000 ONETHINKER_FAULT_KILLS=20 $(BIN)/python -m pytest tests/annotators/test_faults.py

# Other trainers' own loaders read our exports; their pins conflict with ours and each other's, so each has its venv.
loaders: $(VENV)/.test .venv-loaders/llamafactory/.ready .venv-loaders/verl/.ready
	@ln -sfn ../$(VENV) .venv-loaders/trl
	@ONETHINKER_LOADERS=$(CURDIR)/.venv-loaders $(BIN)/python -m pytest tests/corpus/test_loaders.py

# torchaudio's CUDA libraries do not load on a machine without CUDA, and LLaMA-Factory imports it.
.venv-loaders/llamafactory/.ready:
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/pip install --quiet torch==2.13.0 'transformers==5.6.*' llamafactory==0.9.5
	@command -v nvidia-smi >/dev/null || find $(@D) -path '*torchaudio/lib*' -name '*.so' -delete
	@touch $@

.venv-loaders/verl/.ready:
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/pip install --quiet torch==2.13.0 'transformers>=5,<5.11' verl==0.9.1 qwen-vl-utils
	@touch $@

clean:
	rm -rf $(VENV) .venv-loaders demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The stamps below are rebuilt when what is asked for changes, and are silent otherwise.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV) (about a minute)" >&2
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV), PyTorch included (a few minutes)" >&2
	@$(INSTALL) --editable '.[dev,train]'
	@touch $@ $(VENV)/.demo

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
