# `make demo` and `make test` set up a virtual environment of their own with pinned packages; a second `make` skips that.

HOME_FOLDER ?= recsys-home
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' && echo $$p && break; done)
PIP := PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/pip install --quiet --no-compile
# uv installs in parallel, in a sixth of pip's time. It reads no pip.conf: pip is used where that names an index.
UV := UV_SYSTEM_CERTS=1 $(BIN)/uv pip install --quiet --python $(BIN)/python \
	--constraints constraints.txt --build-constraints constraints.txt
INSTALL = if ! $(BIN)/pip config list | grep -qE '[.](no-)?index' && $(UV) --editable $(1); then :; else $(PIP) --editable $(1); fi
DEV := '.[backbones,dask,dev,heic,hub,servers]'
# Compiling on all cores, without the packages' own tests, takes less than half the time that pip would take over it.
COMPILE := $(BIN)/python -m compileall -q -j 0 -x '/tests?/' $(VENV)/lib >/dev/null

.PHONY: demo ui test check coverage lint types format audit docs lock clean help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

demo: $(VENV)/.installed  ## draw a sample shop, run everything on it, show the result
	$(BIN)/recsys demo --home $(HOME_FOLDER)

ui: $(VENV)/.installed  ## open the Prefect UI and the MLflow UI over the demo's home
	$(BIN)/recsys ui --home $(HOME_FOLDER)

test: $(VENV)/.dev  ## run every test; T=tests/path runs one file or test in one process, ARGS adds options of pytest
	$(BIN)/pytest $(if $(T),-n0 $(T)) $(ARGS)

check: lint types  ## lint, check types, run the unit tests: what to run before each commit
	$(BIN)/pytest -m unit

coverage: $(VENV)/.dev  ## measure which lines the unit tests run; fails below the floor (all tests: make test ARGS=--cov)
	$(BIN)/pytest -m unit --cov --cov-report= --cov-fail-under=77

lint: $(VENV)/.dev  ## lint, and scan for secrets
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@cp .secrets.baseline $(VENV)/secrets.baseline  # the hook rewrites line numbers, and then exits with 3
	@$(BIN)/detect-secrets-hook --no-verify --baseline $(VENV)/secrets.baseline \
	  $$(git ls-files ':!.secrets.baseline') || test $$? = 3

types: $(VENV)/.dev  ## check types
	$(BIN)/mypy

format: $(VENV)/.dev  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

audit: $(VENV)/.dev  ## look the pinned packages up among the known vulnerabilities (needs the network)
	$(BIN)/pip-audit --no-deps --disable-pip --requirement constraints.txt $(AUDIT)

docs: $(VENV)/.docs  ## build the documentation with its API reference into site/
	$(BIN)/mkdocs build --strict

lock: $(VENV)/.docs  ## write the installed versions into constraints.txt (with the oldest Python: newer ones may get newer pins)
	{ echo "# Every version that this project is tested with, on Python 3.11, 3.12 and 3.13. Made by 'make lock'."; \
	  $(BIN)/pip freeze --all --exclude visual-recommender --exclude pip; } > constraints.txt

clean:  ## remove the virtual environment (the demo's home stays)
	rm -rf $(VENV)

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "error: this needs Python 3.11, 3.12 or 3.13, and python3 is $$(python3 --version 2>&1); install one of them, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "error: this needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is $$($(PYTHON) --version 2>&1)" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { echo "error: $(PYTHON) cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/.python
	@echo "Installing the pinned packages into $(VENV) (a minute or two, once)"
	@$(PIP) uv
	@$(call INSTALL,.)
	-@$(COMPILE)
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@$(call INSTALL,$(DEV))
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	@$(call INSTALL,'.[docs]')
	@touch $@
