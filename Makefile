# `make demo` and `make test` do all their own set-up, in .venv, on a machine that has only Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENGINES := .venv-engines

# One worker for each processor; each file's tests stay in one of them. The timings that matter are at the end.
PYTEST = $(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist loadgroup --durations 25

.PHONY: demo test test-slow lint imports types unit docs fuzz faults loaders engines clean

demo: $(VENV)/.demo
	@$(BIN)/onethinker demo --out demo

# What every change must pass, in minutes; `make test-slow` is the rest: kills at size, ranks, services, whole runs.
test: lint imports types docs unit

test-slow: $(VENV)/.test
	@$(PYTEST) -m slow
	@ONETHINKER_HYPOTHESIS=search $(PYTEST) -m "hypothesis and not slow"

lint: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .

imports: $(VENV)/.test
	@$(BIN)/lint-imports --no-cache

types: $(VENV)/.test
	@$(BIN)/mypy --no-error-summary

unit: $(VENV)/.test
	@$(PYTEST) -m "not slow"

docs: $(VENV)/.test
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Property tests on new examples, twenty thousand each, then the parsers of foreign text by coverage-guided search. What
# fails is kept in .hypothesis and .fuzz and tried first next time.
FUZZED := response json answer reply
fuzz: $(VENV)/.fuzz
	@for target in $(FUZZED); do $(BIN)/python -m tests.attacks.fuzz $$target --runs 20000 || exit 1; done
	@ONETHINKER_HYPOTHESIS=search ONETHINKER_EXAMPLES=20000 $(PYTEST) -m hypothesis --timeout 3600

# The fault tests of annotation at full size, in a quarter of an hour.
faults: $(VENV)/.test
	@ONETHINKER_FAULT_SAMPLES=2000 ONETHINKER_FAULT_KILLS=20 $(BIN)/python -m pytest tests/annotators/test_faults.py

# Other trainers' own loaders read our exports; their pins conflict with ours and each other's, so each has its venv.
loaders: $(VENV)/.test $(ENGINES)/llamafactory/.ready $(ENGINES)/verl/.ready
	@ln -sfn ../$(VENV) $(ENGINES)/trl
	@ONETHINKER_LOADERS=$(CURDIR)/$(ENGINES) $(BIN)/python -m pytest tests/corpus/test_loaders.py

# Our plug-ins inside other trainers, which train for a few steps on this machine's processors.
engines: $(VENV)/.test $(ENGINES)/verl/.ready $(ENGINES)/ms_swift/.ready
	@ONETHINKER_ENGINES=$(CURDIR)/$(ENGINES) $(BIN)/python -m pytest tests/trainers/test_engines.py

# Of torch, the release whose build for CPUs the tests run with; torchvision without its pin on another one.
WITH_TORCH = $(PYTHON) -m venv $(@D) && $(@D)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
WITH_PLUGINS = $(@D)/bin/pip install --quiet --disable-pip-version-check --requirement trainers/plugins/requirements.txt && \
	$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps torchvision==0.28.0 --editable .

# torchaudio's CUDA libraries do not load on a machine without CUDA, and LLaMA-Factory imports it.
$(ENGINES)/llamafactory/.ready:
	@$(WITH_TORCH) 'transformers==5.6.*' llamafactory==0.9.5
	@command -v nvidia-smi >/dev/null || find $(@D) -path '*torchaudio/lib*' -name '*.so' -delete
	@touch $@

# verl's extra verl-core without its torchcodec, which does not load beside a torch for CPUs.
VERL_CORE = TransferQueue==0.1.11 cachetools fastapi msgspec nvtx pyzmq uvicorn

$(ENGINES)/verl/.ready: trainers/plugins/requirements.txt
	@$(WITH_TORCH) 'transformers>=5.5.3,!=5.6.0,<5.11' verl==0.9.1 $(VERL_CORE) qwen-vl-utils decord
	@$(WITH_PLUGINS)
	@touch $@

# ms-swift imports msgspec for GRPO and does not declare it.
$(ENGINES)/ms_swift/.ready: trainers/plugins/requirements.txt
	@$(WITH_TORCH) 'transformers<5.20' 'trl<1' ms-swift==4.6.0 msgspec qwen-vl-utils decord
	@$(WITH_PLUGINS)
	@touch $@

clean:
	rm -rf $(VENV) $(ENGINES) demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .fuzz

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

$(VENV)/.fuzz: $(VENV)/.test
	@$(INSTALL) --editable '.[dev,train,fuzz]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
