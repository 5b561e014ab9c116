# `make demo` and `make test` each do all they need, from a fresh clone on.

# The first of these that will do makes the virtual environment; name another one with `make PYTHON=…`.
PYTHON ?= python3 python3.13 python3.12 python3.11 python3.14

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
PIP := $(PY) -m pip install -qq --no-compile --no-warn-conflicts --constraint constraints.txt

# What is installed is noted in stamps, so that it's done again only when the dependencies change. The demo needs
# less than the tests do; both live in the one environment, and either completes the other.
MADE := $(VENV)/.made
DEMO := $(VENV)/.demo
DEV := $(VENV)/.dev

# These pin old releases of what hydrosphere-pip brings in today's, so pip must neither heed nor report what they ask for.
HYDROSDK := hydrosdk hydro-serving-grpc docker-image-py

# pip compiles bytecode file by file; this does it on every core, and leaves out what is never imported.
COMPILE := $(PY) -m compileall -q -j 0 -x '/tests?/' $(VENV)/lib || true

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test check pytest format bench constraints clean

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

install: $(DEV)  ## Make .venv with everything that development needs

demo: $(DEMO)  ## From data to an endpoint on the embedded cloud, live: no account, no network once installed
	@$(BIN)/kfp-runner demo

test: check pytest  ## Everything CI runs
	@if [ -f tests/benchmarks/__main__.py ]; then $(PY) -m tests.benchmarks --smoke; fi

check: $(DEV)  ## Lint, types, import rules, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict runner components
	$(BIN)/lint-imports
	$(BIN)/kfp-runner compile --check

pytest: $(DEV)  ## The tests alone; choose with ARGS='-k name'
	$(BIN)/pytest $(ARGS)

format: $(DEV)  ## Format the code, and fix what can be fixed by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/kfp-runner compile

bench: $(DEV)  ## The benchmarks, in full
	$(PY) -m tests.benchmarks

constraints:  ## Pin the dependencies anew (needs uv)
	uv pip compile pyproject.toml --extra local --extra kfp --extra gcp --extra gcp-local --extra hydrosphere \
	  --group dev --universal --python-version 3.11 --upgrade --no-header --no-annotate --no-emit-index-url \
	  --quiet --output-file constraints.txt

clean:  ## Remove whatever make and the tools have made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build demo-output dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@test -x $(PY) || { \
	  for python in $(PYTHON); do \
	    if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	      echo "Making $(VENV) with $$($$python --version)"; exec $$python -m venv $(VENV); \
	    fi; \
	  done; \
	  echo "No Python 3.11 or newer with venv and pip among: $(PYTHON)" >&2; \
	  echo "Install one (on Debian or Ubuntu: apt install python3-venv), or name yours: make PYTHON=…" >&2; \
	  exit 1; }
	@$(PY) -m pip install -qq --upgrade pip
	@touch $@

$(DEMO): pyproject.toml constraints.txt $(MADE)
	@echo "Installing what the demo needs into $(VENV) (once)"
	@$(PIP) --editable '.[local]'
	@$(COMPILE)
	@touch $@

$(DEV): pyproject.toml constraints.txt $(MADE)
	@echo "Installing everything into $(VENV) (once)"
	@$(PIP) --editable '.[local,kfp,hydrosphere-pip]' --group dev
	@$(PIP) --no-deps $(HYDROSDK)
	@$(COMPILE)
	@touch $@ $(DEMO)
