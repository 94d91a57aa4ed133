# Every command of the project; `make` alone lists them. Continuous integration calls the same targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CLUSTER := $(BIN)/python -m dev.cluster
export PYTHONPATH :=
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  \033[36mmake %-22s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/installed: pyproject.toml requirements/dev.txt requirements/build.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the development environment into $(VENV)"
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25'
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt -r requirements/build.txt
	@$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@

##@ Use it
.PHONY: demo
demo: up ## From three objects to answers from real vLLM, and back by one patch
	$(BIN)/python -m dev.demo

.PHONY: up
up: $(VENV)/installed ## Bring up the local cluster with Tunefleet's images in it
	$(BIN)/python -m dev.up --install

.PHONY: down
down: $(VENV)/installed ## Take the local cluster down; images and builds stay cached
	$(CLUSTER) down

.PHONY: status
status: $(VENV)/installed ## Say what of the local cluster runs
	$(CLUSTER) status

##@ Check it
.PHONY: test
test: verify unit unit-compiled integration demo ## Everything: static checks, unit tests, real API server, real vLLM, the demo

.PHONY: unit
unit: $(VENV)/installed ## Fast tests, no cluster
	$(BIN)/pytest -q -m "not apiserver and not cluster and not e2e"

COMPILED := build/compiled
$(COMPILED)/built: $(VENV)/installed setup.py pyproject.toml $(shell find operator/tunefleet -name '*.py')
	@echo "compiling the gateway into $(COMPILED)"
	@rm -rf $(COMPILED)
	@TUNEFLEET_COMPILE=1 MYPYPATH=operator $(BIN)/python setup.py --quiet build --build-base build/compiling --build-lib $(COMPILED)
	@touch $@

.PHONY: compiled
compiled: $(COMPILED)/built ## The package with the gateway's hot path as machine code, in build/compiled

.PHONY: unit-compiled
unit-compiled: $(COMPILED)/built ## The gateway's tests against what images run: compiled, and on uvloop
	TUNEFLEET_COMPILED=1 $(BIN)/pytest -q -o "pythonpath=$(COMPILED) ." -m "not apiserver and not cluster and not e2e" tests/gateway

.PHONY: integration
integration: up ## Tests against the real API server, a real kubelet and real vLLM
	TUNEFLEET_TEST_CLUSTER=1 $(BIN)/pytest -q -m "apiserver or cluster or e2e"

.PHONY: verify
verify: lint types layers generated ## Static checks: style, types, layers, generated files

.PHONY: lint
lint: $(VENV)/installed ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(VENV)/installed ## mypy --strict, tests included
	$(BIN)/mypy

.PHONY: layers
layers: $(VENV)/installed ## Imports point one way
	$(BIN)/lint-imports

.PHONY: generated
generated: $(VENV)/installed ## Committed generated files are what the code generates
	@tmp=$$(mktemp -d); trap 'rm -rf $$tmp' EXIT; \
	$(MAKE) generate OUT=$$tmp >/dev/null; \
	cd $$tmp && find . -type f -print0 | while IFS= read -r -d '' file; do \
	  diff -u "$(CURDIR)/$$file" "$$file" || { echo "$$file is stale: run 'make generate' and commit"; exit 1; }; \
	done

##@ Measure it
.PHONY: bench
bench: up ## A few promotions, roll-backs and kills under load, and each process's footprint
	$(BIN)/python -m dev.bench.swap --quick
	$(BIN)/python -m dev.bench.footprint

.PHONY: bench-swap
bench-swap: up ## Hundreds of promotions and roll-backs, new adapters, kills; every answer held against its weights
	$(BIN)/python -m dev.bench.swap

.PHONY: bench-gateway
bench-gateway: $(COMPILED)/built ## What the gateway costs, beside nginx, haproxy, vllm-router and litellm
	$(BIN)/python -m dev.bench.gateway

.PHONY: bench-gateway-failures
bench-gateway-failures: $(COMPILED)/built ## What clients see when engines fail, behind ours and behind others
	$(BIN)/python -m dev.bench.gateway.failures

.PHONY: soak
SOAK_MINUTES ?= 15
soak: $(COMPILED)/built ## Mixed streams with engines coming and going; every request accounted for
	$(BIN)/python -m dev.bench.gateway.soak --minutes $(SOAK_MINUTES)

##@ Change it
.PHONY: generate
OUT ?= .
generate: $(VENV)/installed ## Write crds/, the chart's copies and the generated reference
	$(BIN)/python -m tunefleet.api.crdgen $(OUT)/crds
	$(BIN)/python -m tunefleet.api.crdgen $(OUT)/charts/tunefleet/crds
	$(BIN)/python -m tunefleet.api.reference $(OUT)/docs/reference
	$(BIN)/python -m tunefleet.cli.reference $(OUT)/docs/reference
	$(BIN)/python -m tunefleet.gateway.reference $(OUT)/docs/reference
	$(BIN)/python -m tunefleet.gateway.telemetry_reference $(OUT)/docs/reference

.PHONY: format
format: $(VENV)/installed ## Let ruff rewrite what it can
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

.PHONY: lock
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --generate-hashes --no-emit-index-url --no-emit-find-links \
	--universal --python-version 3.11 --custom-compile-command "make lock"
lock: $(VENV)/installed ## Resolve requirements/ anew from pyproject.toml
	$(LOCK) --extra dev -o requirements/dev.txt
	for input in build compile; do $(BIN)/uv pip compile requirements/$$input.in --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --universal --python-version 3.11 --custom-compile-command "make lock" -o requirements/$$input.txt; done
	for extra in operator agent; do $(LOCK) --extra $$extra -c requirements/dev.txt -o requirements/$$extra.txt; done
	$(LOCK) --extra gateway --extra otel -c requirements/dev.txt -o requirements/gateway.txt  # the image can send spans

.PHONY: clean
clean: ## Remove what was built in the checkout (not the cache outside it)
	rm -rf build $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
