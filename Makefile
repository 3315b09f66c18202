# `make demo` and `make test` need Python 3.11 or newer, git and make, and nothing else.

.DEFAULT_GOAL := help
.PHONY: help install demo up test soak simulate storm bench audit sbom lint format states clean

UV_VERSION := 0.13.9
BIN := .venv/bin
# What `payonce demo` and `payonce up` are given besides: make demo ARGS="--orders 200"
ARGS ?=

help:
	@echo "make demo     start everything, place orders, watch them being paid, end everything"
	@echo "make up       start everything and keep it running until Ctrl-C"
	@echo "make test     check and test"
	@echo "make soak     look for failures of the outbox on new seeds: SOAK_MINUTES=60, or SEED=… to replay one"
	@echo "make simulate look for failures of payments on new seeds: SIMULATE_MINUTES=60, or SEED=… to replay one"
	@echo "make storm    500 orders while webhooks are lost and doubled and money moves behind our back: STORM_ORDERS=500"
	@echo "make bench    measure outbox and payments against hand-written limits; docs/benchmarks.md explains the figures"
	@echo "make audit    ask whether the locked libraries have known vulnerabilities: needs the network"
	@echo "make sbom     write the bill of materials of the locked libraries, sbom.cdx.json (CycloneDX)"
	@echo "make install  build the environment .venv, and nothing else"
	@echo "make states   draw docs/states.md from the transition tables"
	@echo "make lint     check without tests     make format   format the code"
	@echo "make clean    remove what these commands have made, the data in .payonce included"

demo: .venv/complete
	@$(BIN)/payonce demo $(ARGS)

up: .venv/complete
	@$(BIN)/payonce up $(ARGS)

test: lint
	$(BIN)/pytest -n 2 --dist loadgroup -q

# Minutes of new seeds, or one seed again.
SOAK_MINUTES ?= 10
SEED ?=
soak: .venv/complete
	PYTHONPATH=src:. $(BIN)/python -m tests.simulation.soak $(if $(SEED),--seed $(SEED),--minutes $(SOAK_MINUTES))

# The state machines of payments, with the sandbox's chaos; SEED as above.
SIMULATE_MINUTES ?= 5
simulate: .venv/complete
	PYTHONPATH=src:. $(BIN)/python -m tests.simulation.payments.simulate $(if $(SEED),--seed $(SEED),--minutes $(SIMULATE_MINUTES))

# How long after it until every order follows its money, and what was found on the way.
STORM_ORDERS ?= 500
storm: .venv/complete
	PYTHONPATH=src:. $(BIN)/python -m tests.e2e.storm --orders $(STORM_ORDERS)

# A few minutes, on a machine that does nothing else.
BENCH_JSON ?= benchmarks.json
PAYMENTS_JSON ?= benchmarks-payments.json
bench: .venv/complete
	PYTHONPATH=src:. $(BIN)/python -m benchmarks.outbox --json $(BENCH_JSON)
	PYTHONPATH=src:. $(BIN)/python -m benchmarks.payments --json $(PAYMENTS_JSON)

lint: .venv/complete
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/complete
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Not part of `make test`: what it finds changes with the world, not with the code.
PIP_AUDIT := pip-audit==2.10.1
UV = $(shell command -v uv || echo .tools/bin/uv)
LOCKED := --frozen --quiet --no-dev --all-extras
audit: .venv/complete
	$(UV) export $(LOCKED) --no-emit-project --output-file .venv/audited.txt >/dev/null
	$(UV) tool run --from $(PIP_AUDIT) pip-audit --requirement .venv/audited.txt --disable-pip --require-hashes

sbom: .venv/complete
	$(UV) export $(LOCKED) --format cyclonedx1.5 --preview-features sbom-export --output-file sbom.cdx.json >/dev/null

states: .venv/complete
	PYTHONPATH=src:. $(BIN)/python -m docs.draw_states

install: .venv/complete

clean:
	rm -rf .venv .tools .payonce .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# The environment follows the lock file; without a change to it, nothing here touches the network.
.venv/complete: uv.lock pyproject.toml
	@UV_VERSION=$(UV_VERSION) sh .ci/install
	@touch $@
