# `make demo` and `make test` do all the set-up by themselves: a virtual environment of their own, pinned packages.
# A second `make` skips what is done.

HOME_FOLDER ?= recsys-home
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' && echo $$p && break; done)
# Compiling on all cores, without the packages' own tests, takes less than half the time that pip would take over it.
PIP := PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/pip install --quiet --no-compile
COMPILE := $(BIN)/python -m compileall -q -j 0 -x '/tests?/' $(VENV)/lib >/dev/null

.PHONY: demo ui test lint format lock clean help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

demo: $(VENV)/.installed  ## draw a sample shop, run everything on it, show what came out
	$(BIN)/recsys demo --home $(HOME_FOLDER)

ui: $(VENV)/.installed  ## open the Prefect UI and the MLflow UI over the demo's home
	$(BIN)/recsys ui --home $(HOME_FOLDER)

test: $(VENV)/.dev  ## run every test (SHARED_DATA=DIR adds those on real catalogues)
	$(BIN)/pytest

lint: $(VENV)/.dev  ## lint and check types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.dev  ## write the installed versions into constraints.txt (with the oldest Python: newer ones may get newer pins)
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
	@$(PIP) --editable .
	-@$(COMPILE)
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@$(PIP) --editable '.[dask,dev,servers]'
	@touch $@
