# What people do with this project. `make demo` and `make test` need only Python 3.11-3.13 and make.

VENV := .venv
BIN := $(VENV)/bin
# The first interpreter that answers with a version we support.
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
DEMO := .alerce/demo-packets

.PHONY: help env demo live-demo test check bench lock clean

help:
	@echo "make demo   simulate a night, run it through the whole graph, serve the Dagster UI"
	@echo "make live-demo   the same live: alerts over Kafka, runs that start by themselves, results over Kafka"
	@echo "make test   all tests          make check  lint, types, import rules"
	@echo "make bench  speed and memory   make env    the environment in $(VENV)"
	@echo "make lock   lock dependencies  make clean  remove what runs have made (.alerce)"

env: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11, 3.12 or 3.13 found; install one or say: make PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "error: $(PYTHON) cannot make environments; on Debian/Ubuntu install python3-venv"; exit 1; }
	@echo "installing the locked packages into $(VENV) (about a minute the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: env
	@test -d $(DEMO) || $(BIN)/alerce-dagster simulate --alerts 2000 --history 60 --seed 1 --archive --out $(DEMO)
	@$(BIN)/alerce-dagster run $(DEMO)
	@$(BIN)/alerce-dagster ui

live-demo: env
	@$(BIN)/python -m tests.live_demo

test: env
	$(BIN)/python -m pytest -n 2 --dist worksteal $(TESTS)

check: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: env
	$(BIN)/python -m benchmarks

lock:
	uv pip compile pyproject.toml --extra train --extra dev --universal --python-version 3.11 \
		--no-emit-index-url --generate-hashes --no-header --upgrade -o requirements.lock

clean:
	rm -rf .alerce
