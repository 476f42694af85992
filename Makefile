# The words that people and CI use alike: run, test, test-slow, soak, check, lock.
# `uv` is used where it is installed, plain venv and pip where it is not.

VENV := .venv
BIN := $(VENV)/bin
# The first Python that TensorFlow has wheels for; PYTHON=... overrides.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& { echo "$$p"; break; }; done)
UV := $(shell command -v uv 2>/dev/null)
ifdef UV
INSTALL = VIRTUAL_ENV=$(VENV) uv pip install --quiet
else
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check
endif

# A file stays with one process, so that its tests share what they build.
PYTEST := $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: run test test-slow soak check lock clean

run: $(VENV)/.installed-run  ## fine-tune -> MLflow -> SavedModel -> server -> predictions
	@$(BIN)/python demo.py

test: $(VENV)/.installed-dev check  ## everything but the slow tests
	@$(PYTEST) -m "not slow and not soak and not gpu"

test-slow: $(VENV)/.installed-dev  ## the slow tests only
	@$(PYTEST) -m "slow and not soak and not gpu"

soak: $(VENV)/.installed-dev  ## tests too long for every change, by hand
	@$(BIN)/pytest -m soak --timeout 7200 --hypothesis-profile default

check: $(VENV)/.installed-dev  ## format, lint, types, imports
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports --no-cache > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }
	@$(BIN)/mypy --no-error-summary

lock:  ## make requirements/*.lock again; needs uv
	uv pip compile pyproject.toml serving/pyproject.toml --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --no-emit-package tl-serving \
		-o requirements/run.lock
	uv pip compile pyproject.toml serving/pyproject.toml --extra dev -c requirements/run.lock \
		--universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-package tl-serving -o requirements/dev.lock
	uv pip compile serving/pyproject.toml -c requirements/run.lock --universal \
		--python-version 3.11 --generate-hashes --no-annotate --no-header -o requirements/serve.lock

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "tl needs Python 3.11, 3.12 or 3.13 (TensorFlow has wheels for\
	 these only); found: $$(python3 --version 2>&1 || echo none). Install one, or make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: requirements/%.lock pyproject.toml serving/pyproject.toml | $(VENV)/bin/python
	@echo "installing requirements/$*.lock with $(if $(UV),uv,pip); the first time takes minutes ..."
	@$(INSTALL) --require-hashes -r requirements/$*.lock
	@$(INSTALL) --no-deps -e ./serving -e .
	@touch $@

clean:  ## remove the environment and caches; runs and models stay
	rm -rf $(VENV) build ./*.egg-info serving/*.egg-info .mypy_cache .ruff_cache .pytest_cache
