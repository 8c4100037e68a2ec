# Every command a person needs, one each. Plain `make` lists them.
# Needs on the machine: Python 3.13, Java 17, Maven, a C compiler. No root, no Docker.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

VENV := .venv
PYTHON := $(VENV)/bin/python
UV := $(VENV)/bin/uv
# Always name the interpreter: uv would otherwise follow an activated environment.
UV_PIP = $(UV) pip
STAMP := $(VENV)/.installed

# A pyenv shim named python3.13 may be on PATH and still refuse to run, so a
# candidate counts only when it runs. OUTCRY_PYTHON=/path/to/python wins.
PYENV_VERSIONS := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions
PYTHON_CANDIDATES := python3.13 python3 $(wildcard $(PYENV_VERSIONS)/3.13*/bin/python3.13) \
	/usr/local/bin/python3.13 /usr/bin/python3.13

##@ Start here

.PHONY: help
help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(STAMP) ## Make .venv with everything in it (nothing to do if nothing changed)
	@:

$(PYTHON):
	@for candidate in $(or $(OUTCRY_PYTHON),$(PYTHON_CANDIDATES)); do \
		if "$$candidate" -c 'import sys, ensurepip; sys.exit(sys.version_info[:2] != (3, 13))' \
			>/dev/null 2>&1; then \
			echo "Making $(VENV) with $$("$$candidate" --version) ($$candidate)"; \
			exec "$$candidate" -m venv --clear $(VENV); \
		fi; \
	done; \
	echo "error: no working Python 3.13 (with venv) among: $(or $(OUTCRY_PYTHON),$(PYTHON_CANDIDATES))." \
		"Install it (pyenv install 3.13, or your system's python3.13 and python3.13-venv)," \
		"or name it: make setup OUTCRY_PYTHON=/path/to/python3.13" >&2; \
	exit 1

$(STAMP): requirements.lock pyproject.toml | $(PYTHON)
	@test -x $(UV) || $(PYTHON) -m pip install --quiet --disable-pip-version-check \
		"$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.lock)"
	@echo "Installing requirements.lock into $(VENV)"
	@$(UV_PIP) sync --python $(PYTHON) --quiet --require-hashes requirements.lock
	@$(UV_PIP) install --python $(PYTHON) --quiet --no-deps --no-build-isolation --editable .
	@touch $@
