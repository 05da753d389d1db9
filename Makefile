# One command for each thing that is done here; CI runs the same ones (CONTRIBUTING.md says when to run which).
# Nothing but Python 3.11 or newer and make has to be there: the rest comes from the lock files, into this folder.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(firstword $(foreach name,python3 python3.11 python3.12 python3.13 python3.14,$(shell \
	command -v $(name) >/dev/null && $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $(name))))
VENV := .venv
TOOLS := .tools/venv
PIP := -m pip --disable-pip-version-check --quiet

RUN := $(VENV)/.run
DEV := $(VENV)/.dev
BUF := $(TOOLS)/.ready
PEERS := .tools/bin/.ready

.PHONY: help
help:  ## say what there is
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "%-14s %s\n", $$1, $$2 }'

# Using it

.PHONY: run
run: $(RUN)  ## serve on 127.0.0.1:50051: the sandbox, or Cohere if CO_API_KEY is set
	@exec $(VENV)/bin/cohort demo

# Working on it

.PHONY: test
test: $(DEV)  ## run the tests, five minutes at most
	$(VENV)/bin/pytest -n auto --dist worksteal $(PYTEST)

.PHONY: lint
lint: $(DEV) $(BUF)  ## check style, types, layers, contract, generated code and house rules
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy --scripts-are-modules tools/generate tools/suites_ran.py
	$(VENV)/bin/lint-imports
	$(TOOLS)/bin/buf lint
	$(TOOLS)/bin/buf format --diff --exit-code
	$(TOOLS)/bin/buf breaking protos --against protos/baseline.binpb
	$(TOOLS)/bin/python tools/generate --check
	$(VENV)/bin/hadolint Dockerfile
	$(VENV)/bin/pytest -q tests/unit/test_tidy.py

.PHONY: format
format: $(DEV) $(BUF)  ## format Python and protos, and mend what ruff can
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .
	$(TOOLS)/bin/buf format --write

.PHONY: generate
generate: $(BUF)  ## write the stubs of protos/
	$(TOOLS)/bin/python tools/generate

.PHONY: prove
prove: PROOFS ?= prove or hypothesis
prove: $(DEV)  ## run the proofs that take minutes; PROOFS=prove_short runs those that CI runs
	$(VENV)/bin/pytest -m '$(PROOFS)' --hypothesis-profile=prove --timeout=1800 $(PYTEST)

.PHONY: torture
torture: SECONDS ?= 1800
torture: $(DEV)  ## kill, stop and cut off real processes for SECONDS, and hold the books against the bill
	TORTURE_SECONDS=$(SECONDS) $(VENV)/bin/pytest -s -m prove tests/torture

.PHONY: bench
bench: $(DEV)  ## measure CPU and throughput against a bare echo, and waits for the books; needs h2load and nginx
	$(VENV)/bin/python -m bench

.PHONY: bench-reports
bench-reports: $(DEV)  ## measure reports over ten million records; needs 10 GB and a quarter of an hour
	$(VENV)/bin/python -m bench.reports $(BENCH)

.PHONY: peers
peers: $(PEERS)  ## fetch grpcurl and, where there is Go, grpc-health-probe for the tests

# What is delivered

.PHONY: wheels
wheels: $(DEV)  ## build both wheels, install them where nothing else is, and use them
	tools/check-wheels

.PHONY: image
image: $(DEV)  ## build the container image, start it, ask its health and for a Chat; needs root
	$(VENV)/bin/pytest -m image tests/image $(PYTEST)

.PHONY: ci
ci: lint test wheels  ## all that every change has to pass

.PHONY: lock
lock: $(BUF)  ## move every lock file to the newest versions that pyproject.toml allows
	tools/lock --upgrade

.PHONY: clean
clean:  ## remove what was made here, but for the keys in .cohort/
	rm -rf $(VENV) .tools build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# Environments. A stamp is newer than what it was made from; pip checks every file against its hash.

$(VENV)/bin/pip $(TOOLS)/bin/pip:
	@[[ -n "$(PYTHON)" ]] || { echo "Python 3.11 or newer is needed; name one by make PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(@D:/bin=)

$(RUN): requirements-build.lock requirements.lock pyproject.toml protos/pyproject.toml | $(VENV)/bin/pip
	$(VENV)/bin/python $(PIP) install --require-hashes -r requirements-build.lock -r requirements.lock
	$(VENV)/bin/python $(PIP) install --no-deps --no-build-isolation --no-index -e protos -e .
	@touch $@

$(DEV): requirements-dev.lock $(RUN)
	$(VENV)/bin/python $(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

$(BUF): requirements-tools.lock | $(TOOLS)/bin/pip
	$(TOOLS)/bin/python $(PIP) install --require-hashes -r requirements-tools.lock
	@touch $@

$(PEERS): tools/install-peers tools/peers/go.mod tools/peers/go.sum tests/idp/package-lock.json \
		requirements-peers.lock | $(VENV)/bin/pip
	tools/install-peers
	@touch $@
