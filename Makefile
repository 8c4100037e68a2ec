# Every command a person needs, one each. Plain `make` lists them.
# Needs on the machine: Python 3.13, Java 17, Maven, a C compiler. No root, no Docker.
# With node and npm there is a web page too.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:

VENV := .venv
PYTHON := $(VENV)/bin/python
UV := $(VENV)/bin/uv
# Trust whom the machine trusts, as pip does: networks may have an authority of their own.
UV_PIP := $(UV) --system-certs pip
OUTCRY := $(VENV)/bin/outcry
# In a terminal uv shows how far it is.
QUIET = $(shell [ -t 2 ] || echo --quiet)
STAMP := $(VENV)/.installed
PAGE := web/dist/index.html
PACKAGES := web/node_modules/.package-lock.json

# A pyenv shim named python3.13 may be on PATH and still refuse to run, so a
# candidate counts only when it runs. OUTCRY_PYTHON=/path/to/python3.13 overrides them.
PYENV_VERSIONS := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions
PYTHON_CANDIDATES := $(or $(OUTCRY_PYTHON),python3.13 python3 \
	$(wildcard $(PYENV_VERSIONS)/3.13*/bin/python3.13) \
	/usr/local/bin/python3.13 /usr/bin/python3.13)

##@ Start here

.PHONY: help
help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(STAMP) ## Make .venv with everything in it (nothing to do if nothing changed)
	@if { command -v node && command -v npm; } >/dev/null; then $(MAKE) web || \
		echo "The web page is not built; everything else works. Try again: make web" >&2; fi

.PHONY: demo
demo: setup ## From a clone to a running exchange; Ctrl-C stops it (DURATION=60 ends it by itself)
	@$(OUTCRY) demo $(if $(DURATION),--duration $(DURATION))

##@ The exchange

.PHONY: up
up: setup ## Start Kafka, registry, PostgreSQL and every room in the background
	@$(OUTCRY) up --detach

.PHONY: down
down: setup ## Stop them; the data stays in .outcry
	@$(OUTCRY) down

.PHONY: web
web: $(PAGE) ## Build the web page with node and npm (nothing to do if nothing changed)
	@:

.PHONY: web-test
web-test: setup ## What the gateway and its page are held to: the page in a browser, REST, WebSocket
	@$(PYTHON) -m services.tools.stack.fetch
	@$(PYTEST) tests/unit/gateway tests/property/gateway tests/web tests/integration/gateway

##@ Models

.PHONY: train
train: setup ## Train, evaluate and register a model on the lake (MODEL=logistic SEED=1 MANIFEST=file)
	@$(OUTCRY) train $(if $(MODEL),--model $(MODEL)) $(if $(SEED),--seed $(SEED)) \
		$(if $(MANIFEST),--from-manifest $(MANIFEST))

.PHONY: model-card
model-card: setup ## Make docs/model-card.md anew, from two hours of a seeded market (minutes)
	@$(PYTHON) -m tests.support.model_card

##@ Checks

# Two processes, since tests on the stack wait a good part of their time: for
# sessions to time out, for servers to come back. A file's tests stay together (its rooms start
# once), in the order of the folders: what needs the stack first, the many short files last.
# WORKERS=0 runs everything in one process (for a debugger, or to compare times).
PYTEST := $(VENV)/bin/pytest -n $(or $(WORKERS),2) --dist loadfile --no-loadscope-reorder

.PHONY: check
check: setup ## Style, formatting, types and the walls between rooms
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/ruff format --quiet --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo

.PHONY: test
test: setup ## The checks, and beside them the tests, on the real stack (TESTS=tests/unit WORKERS=2)
	@$(PYTHON) -m services.tools.stack.fetch
	@$(MAKE) -j2 check most-tests

.PHONY: most-tests
most-tests:
	@$(PYTEST) -m "not long" --durations=15 --durations-min=1 $(or $(TESTS),tests)

.PHONY: test-long
test-long: setup ## The tests that `make test` leaves out for their time: more faults, more kills, whole days
	@$(PYTHON) -m services.tools.stack.fetch
	@$(PYTEST) -m long --durations=15 --durations-min=1 $(or $(TESTS),tests)

.PHONY: test-fast
test-fast: setup ## The tests that start no server: unit, property, replay, web, contract on memory, tidy
	@$(PYTEST) -m "not kafka and not long" \
		$(wildcard tests/unit tests/property tests/replay tests/contract tests/web tests/tidy)

.PHONY: advisories
advisories: setup ## Ask the databases of known faults about both lock files (3: they did not answer)
	@$(PYTHON) -m tests.support.advisories

.PHONY: chaos
chaos: setup ## Kill, freeze and starve a stack of its own, under load (SEED=1 SCENARIO=kills KILLS=20)
	@$(OUTCRY) chaos --seed $(or $(SEED),1) $(if $(SCENARIO),--scenario $(SCENARIO)) \
		$(if $(KILLS),--kills $(KILLS))

.PHONY: observe-test
observe-test: setup ## Every room under load, and all that dashboards and alerts ask must have data
	@OUTCRY_REQUIRE_OPTIONAL=1 $(VENV)/bin/pytest tests/integration/observe tests/unit/observe

.PHONY: fuzz-api
fuzz-api: setup ## Generated requests by the thousand, each answer held against OpenAPI (EXAMPLES=200 SEED=1)
	@OUTCRY_API_EXAMPLES=$(or $(EXAMPLES),200) SEED=$(or $(SEED),1) \
		$(VENV)/bin/pytest tests/integration/gateway/test_whole_path.py \
		tests/integration/gateway/test_keys_in_postgres.py -k openapi

.PHONY: fuzz-junk
fuzz-junk: setup ## Requests and frames that no client means, all answered, memory flat (REQUESTS=100000)
	@OUTCRY_JUNK_REQUESTS=$(or $(REQUESTS),100000) $(VENV)/bin/pytest tests/web/test_junk_requests.py \
		tests/web/test_socket_frames.py --timeout=3600

.PHONY: format
format: setup ## Rewrite the code in the house's format
	@$(VENV)/bin/ruff check --quiet --fix-only .
	@$(VENV)/bin/ruff format .

.PHONY: soak
soak: setup ## Hours of load with a kill every few minutes, figures flat at the end (HOURS=4 SEED=1)
	@$(OUTCRY) soak --hours $(or $(HOURS),4) --seed $(or $(SEED),1)

##@ Figures

.PHONY: bench
bench: setup ## Measure the matcher alone, then the whole pipeline
	@$(OUTCRY) bench matcher-core
	@$(OUTCRY) bench pipeline

.PHONY: bench-all
bench-all: setup ## Every benchmark of the exchange, and one page of what they found (QUICK=1)
	@$(OUTCRY) bench all $(if $(QUICK),--quick)

.PHONY: load
load: setup ## Load the running stack, or one of its own (SCENARIO=rest USERS=20 RATE=50 DURATION=60 OWN=1)
	@$(OUTCRY) load $(or $(SCENARIO),rest) --users $(or $(USERS),20) --rate $(or $(RATE),50) \
		--duration $(or $(DURATION),60) $(if $(OWN),--own)

##@ Upkeep

.PHONY: lock
lock: $(UV) ## Resolve pyproject.toml into requirements.lock (UPGRADE=1 for newer versions)
	@$(UV_PIP) compile pyproject.toml --python $(PYTHON) --universal --all-extras --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		$(if $(UPGRADE),--upgrade) --quiet --output-file requirements.lock
	@$(PYTHON) -m tests.tidy.lock

.PHONY: docs
docs: setup ## Draw the generated parts of the pages again
	@$(PYTHON) -m tests.tidy.generated

.PHONY: clean
clean: ## Remove .venv and the caches (the exchange's data in .outcry stays)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis \
		.coverage htmlcov build dist .compiled web/dist web/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- how the page is made --------------------------------------------------------------

$(PACKAGES): web/package.json web/package-lock.json web/.npmrc
	@echo "Installing web/package-lock.json into web/node_modules"
	@cd web && npm ci --no-audit --loglevel=error >/dev/null
	@touch $@

$(PAGE): $(PACKAGES) web/index.html web/vite.config.ts web/tsconfig.json $(wildcard web/src/* web/src/views/*)
	@cd web && npm run --silent build -- --logLevel warn
	@touch $@

# --- how .venv is made -----------------------------------------------------------------

$(PYTHON):
	@for candidate in $(PYTHON_CANDIDATES); do \
		if "$$candidate" -c 'import sys, ensurepip; sys.exit(sys.version_info[:2] != (3, 13))' \
			>/dev/null 2>&1; then \
			echo "Making $(VENV) with $$("$$candidate" --version) ($$candidate)"; \
			exec "$$candidate" -m venv --clear $(VENV); \
		fi; \
	done; \
	echo "error: no Python 3.13 that runs (with venv) among: $(PYTHON_CANDIDATES)." \
		"Install it (pyenv install 3.13, or your system's python3.13 and python3.13-venv)" \
		"or name it: make setup OUTCRY_PYTHON=/path/to/python3.13" >&2; \
	exit 1

# uv's version stands in the lock like every other; pip only brings uv.
$(UV): | $(PYTHON)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check \
		"$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.lock)"

# The interpreter is always named: uv would otherwise follow an activated environment.
$(STAMP): requirements.lock pyproject.toml | $(UV)
	@echo "Installing requirements.lock into $(VENV): 2 GB, some minutes"
	@$(UV_PIP) sync --python $(PYTHON) $(QUIET) --compile-bytecode --require-hashes requirements.lock
	@$(UV_PIP) install --python $(PYTHON) --quiet --no-deps --no-build-isolation --editable .
	@touch $@
