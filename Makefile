# Everything a developer types; CI runs `make test`. `make` lists the targets.

PYTHON ?= python3# the interpreter the virtual environments are made with, 3.10 or newer
HOST ?= sandbox# what the integration tests run against: sandbox, memgraph, uri, docker
PROCESSES ?= $(if $(filter uri docker,$(HOST)),1,2)# how many run the integration tests side by side: a number, or auto
FUZZ ?= 3600# seconds for each of the fuzzers of `make soak`
ARGS ?=# more for pytest: ARGS='-k recovery --memgraph-bin=/usr/lib/memgraph/memgraph'

VENV := .venv
DEMO_VENV := .cache/demo-venv
INSTALLED := $(VENV)/.installed
DEMO_INSTALLED := $(DEMO_VENV)/.installed
PYTEST := $(VENV)/bin/python -m pytest --host=$(HOST)
UNIT := $(PYTEST) --numprocesses=auto --maxprocesses=4 --dist=worksteal tests/unit
# With more than one, each process has a broker and a host of its own, which a database that runs already cannot give.
INTEGRATION = $(PYTEST) $(if $(filter-out 1,$(PROCESSES)),--numprocesses=$(PROCESSES) --dist=worksteal) tests/integration
COMPOSE := docker compose --file docker/compose.yml

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  variables:   PYTHON=$(PYTHON)  HOST=$(HOST)  PROCESSES=$(PROCESSES)  ARGS=$(ARGS)"

.PHONY: install
install: $(INSTALLED) ## the virtual environment for developing, in .venv

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet -e '.[test,lint]'
	@touch $@

$(DEMO_INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(DEMO_VENV)
	$(DEMO_VENV)/bin/python -m pip install --quiet -e '.[sandbox]'
	@touch $@

.PHONY: demo
demo: $(DEMO_INSTALLED) ## the specification's example, then a bigger load: needs Python only
	@$(DEMO_VENV)/bin/python -m sandbox.demo

.PHONY: format
format: $(INSTALLED) ## put the code into its form, and repair what ruff can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

.PHONY: lint
lint: $(INSTALLED) ## ruff, rules and form
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

.PHONY: types
types: $(INSTALLED) ## mypy, strict; unit tests may leave their own functions untyped
	$(VENV)/bin/mypy

.PHONY: prerequisites
prerequisites: ## whether the system's programs that the tests need are there, or the command that brings them
	@$(PYTHON) -m tests.prerequisites

.PHONY: kafka
kafka: prerequisites $(INSTALLED) ## the jars of the Apache Kafka that the tests start, by Maven: needs Java and Maven
	@$(VENV)/bin/python -m tests.kafka

.PHONY: classes
classes: $(INSTALLED) ## the sandbox's classes in a file of .cache/, with which it starts in two thirds of the time
	@$(VENV)/bin/python -m tests.hosts.classes

.PHONY: unit
unit: $(INSTALLED) ## the tests that need neither broker nor host
	$(UNIT) $(ARGS)

.PHONY: integration
integration: kafka classes ## the tests with a real Apache Kafka and HOST
	$(INTEGRATION) $(ARGS)

.PHONY: faults
faults: kafka ## the fault harness at length, with HOST: ARGS='--messages 100000 --kills 50'
	@$(VENV)/bin/python -m tests.faults --host=$(HOST) $(ARGS)

.PHONY: test
test: prerequisites $(INSTALLED) ## everything: lint, types and all tests
	@$(MAKE) --no-print-directory --jobs=4 --output-sync kafka classes lint types # the first waits for the network
	$(UNIT) $(ARGS) $(if $(ARGS),|| test $$? = 5 # no test of these is selected)
	$(INTEGRATION) $(ARGS)

.PHONY: fresh
fresh: ## README's two commands in Debians that have next to nothing: needs root and debootstrap; ARGS=--all for make test too
	@$(PYTHON) -m tests.fresh $(ARGS)

.PHONY: bench
bench: kafka ## how fast it is, beside others: ARGS='--memgraph-bin=/usr/lib/memgraph/memgraph'; writes bench-results/
	@$(VENV)/bin/python -m pip install --quiet -e '.[bench]'
	@$(VENV)/bin/python -m tests.bench $(ARGS)

.PHONY: real
real: kafka ## all that a real server can show, MEMGRAPH=path [MEMGRAPH_PYTHONPATH=folder], and a table of it in real-results/
	@test -n "$(MEMGRAPH)" || { echo 'make real MEMGRAPH=/path/to/memgraph [MEMGRAPH_PYTHONPATH=/its/packages]' >&2; exit 2; }
	@$(VENV)/bin/python -m pip install --quiet -e '.[bench]'
	@$(VENV)/bin/python -m tests.real --memgraph-bin='$(MEMGRAPH)' $(if $(MEMGRAPH_PYTHONPATH),--memgraph-pythonpath='$(MEMGRAPH_PYTHONPATH)') $(ARGS)
SECRET = $$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')

docker/.env: # made once, with passwords that nobody else has
	@umask 077 && printf 'MEMGRAPH_USER=sluice\nMEMGRAPH_PASSWORD=%s\nGRAFANA_PASSWORD=%s\n' "$(SECRET)" "$(SECRET)" > $@
	@echo "user and passwords are in $@"

.PHONY: image
image: docker/.env ## the images of docker/: Memgraph with the modules, and the shim
	$(COMPOSE) build

.PHONY: up
up: docker/.env ## start Memgraph, Kafka, the shim and Memgraph Lab in Docker, and wait until they are well
	$(COMPOSE) up --build --detach --wait

.PHONY: logs
logs: docker/.env ## follow what they say
	$(COMPOSE) logs --follow --tail=100

.PHONY: down
down: docker/.env ## stop them; their data stays in volumes
	$(COMPOSE) --profile sample --profile metrics down

.PHONY: soak
soak: kafka ## the tests that take minutes, with HOST, and the fuzzers for FUZZ seconds each
	@$(VENV)/bin/python -m pip install --quiet -e '.[soak]'
	$(PYTEST) -m soak tests/integration $(ARGS)
	$(VENV)/bin/python -m tests.fuzz --seconds $(FUZZ)

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf $(VENV) .cache build dist test-logs .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
