# Two commands matter: `make run` (a live market on demo data) and `make test` (everything that must hold).
# Variables: PYTHON (an interpreter of 3.11 or newer), HOST, PORT, PYTEST_ARGS, BENCH_ARGS, LOCK_ARGS (say --upgrade).

VENV := .venv
PY := $(VENV)/bin/python
HOST ?= 127.0.0.1
PORT ?= 8000
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11

RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install install-dev run test bench lint format lock clean venv

help:
	@echo "make install      the virtual environment, from requirements.lock"
	@echo "make run          demo data, then the server at http://$(HOST):$(PORT)/"
	@echo "make test         linters, types, import rules, migrations, every test (PYTEST_ARGS=...)"
	@echo "make bench        the benchmarks (BENCH_ARGS=...)"
	@echo "make lint         the fast part of make test"
	@echo "make format       let ruff rewrite what it can"
	@echo "make lock         resolve pyproject.toml into the lock files (LOCK_ARGS=--upgrade)"
	@echo "make clean        remove the virtual environment and caches, never var/"

install: $(RUNTIME)

install-dev: $(DEV)

# The stamps are older than a lock file exactly when something has to be installed.
$(RUNTIME): requirements.lock
	@$(MAKE) --no-print-directory venv
	$(PIP_INSTALL) -r requirements.lock
	@touch $@

# The development lock holds the runtime lock's versions too, so one installation answers both stamps.
$(DEV): requirements-dev.lock requirements.lock
	@$(MAKE) --no-print-directory venv
	$(PIP_INSTALL) -r requirements-dev.lock
	@touch $(RUNTIME) $@

# pip arrives last when a virtual environment is made: its absence means an unfinished one.
venv:
	@test -x $(VENV)/bin/pip && exit 0; \
	for python in $(if $(PYTHON),$(PYTHON),$(CANDIDATES)); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		echo "making $(VENV) with $$("$$python" --version)"; \
		exec "$$python" -m venv --clear $(VENV); \
	done; \
	echo "Python 3.11 or newer is needed; tried: $(if $(PYTHON),$(PYTHON),$(CANDIDATES))." >&2; \
	echo "Install one, or name it: make install PYTHON=/path/to/python3.12" >&2; \
	exit 1

run: install
	$(PY) manage.py seed_demo
	@exec $(PY) manage.py serve --host $(HOST) --port $(PORT)

lint: install-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
		echo "$(PY) manage.py makemigrations --check --dry-run" && \
		env -u DATABASE_URL OMS_VAR_DIR="$$scratch" $(PY) manage.py makemigrations --check --dry-run

test: lint
	$(PY) -m pytest $(PYTEST_ARGS)

bench: install-dev
	$(PY) benchmarks/run.py $(BENCH_ARGS)

format: install-dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

# Hashes pin the files; an address of a registry has no business in them.
COMPILE = $(VENV)/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate $(LOCK_ARGS)

lock: install-dev
	$(COMPILE) --output-file requirements.lock
	$(COMPILE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	@! grep -nE '://|^--?(i|f|index|extra-index|find-links)' requirements.lock requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +
