# Two commands matter: `make run` (a live market on demo data) and `make test` (everything that must hold).
# Variables: PYTHON (an interpreter of 3.11 or newer), HOST, PORT, PYTEST_ARGS, BENCH_ARGS, LOCK_ARGS (say --upgrade),
# OMS_PLAIN=1 (do not compile the core).

VENV := .venv
PY := $(VENV)/bin/python
HOST ?= 127.0.0.1
PORT ?= 8000
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11

RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
BUILD := $(VENV)/.installed-build
PLAIN := build/plain
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help install install-dev core run cluster test test-rest test-plain bench lint format docs lock wheel clean venv

help:
	@echo "make install      the virtual environment, from requirements.lock; the core compiled, where a C compiler works"
	@echo "make run          demo data, then the server at http://$(HOST):$(PORT)/"
	@echo "make cluster      the production topology on this machine, to be looked at (PostgreSQL, Redis, nginx are needed)"
	@echo "make test         linters, types, import rules, migrations, every test (PYTEST_ARGS=...)"
	@echo "make core         compile the core again if its sources have changed (OMS_PLAIN=1: leave it plain)"
	@echo "make bench        the benchmarks (BENCH_ARGS=...)"
	@echo "make lint         the fast part of make test"
	@echo "make format       let ruff rewrite what it can"
	@echo "make docs         write the pages of docs/ that are made from the code"
	@echo "make lock         resolve pyproject.toml into the lock files (LOCK_ARGS=--upgrade)"
	@echo "make wheel        the service as one file for pip, in dist/"
	@echo "make clean        remove the virtual environment, what was compiled, and caches; never var/"

install: $(RUNTIME) core

install-dev: $(DEV) core

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

# What compiles the core; wanted only where that works.
$(BUILD): requirements-build.lock | $(RUNTIME)
	$(PIP_INSTALL) -r requirements-build.lock
	@touch $@

# Asked every time: setup.py compares contents, which no stamp can (a switch of branch, a deleted file).
core: $(RUNTIME)
	@reason="$$($(PY) setup.py why-plain)" && \
		{ test -n "$$reason" || $(MAKE) --silent $(BUILD); } && \
		$(PY) setup.py compile

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

cluster: install-dev
	@exec env PYTHONPATH="$(CURDIR)" $(PY) deploy/cluster.py

lint: install-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
		echo "$(PY) manage.py makemigrations --check --dry-run" && \
		env -u DATABASE_URL OMS_VAR_DIR="$$scratch" $(PY) manage.py makemigrations --check --dry-run

# The core's own tests run twice, the others with the core as it is installed. `.compiled` is there where it is compiled.
# Two runs side by side, since two processors are what every machine has: what waits for servers, clocks and browsers is seen
# as it goes (the soak tests in a process of their own), what computes is shown at the end. With PYTEST_ARGS there is one run, of whatever they say.
TIMED := $(addprefix tests/,browser client commands deploy faults feed sockets)
CORE := $$(test -e matching/.compiled && echo compiled || echo plain)

test: lint
ifneq ($(strip $(PYTEST_ARGS)),)
	$(PY) -m pytest --core=$(CORE) $(PYTEST_ARGS)
else
	@echo "=== every test, the core $(CORE)"
	@mkdir -p build && trap 'trap - INT TERM; kill 0' INT TERM; \
	$(MAKE) --no-print-directory test-rest >build/test-rest.log 2>&1 & rest=$$!; \
	$(PY) -m pytest --core=$(CORE) $(TIMED); timed=$$?; \
	$(PY) -m pytest --core=$(CORE) tests/soak || timed=$$?; \
	echo "=== and beside it:"; wait $$rest; rested=$$?; cat build/test-rest.log; \
	echo "=== ended with $$timed (timed) and $$rested (the rest)"; test $$timed -eq 0 -a $$rested -eq 0
endif

# All but what is timed; before them the core's as plain Python, where there is a compiled one.
test-rest: install-dev
	@test ! -e matching/.compiled || $(MAKE) --no-print-directory test-plain
	$(PY) -m pytest --core=$(CORE) $(addprefix --ignore=,$(TIMED) tests/soak)

# From a copy of the sources: beside them the compiled files would be imported.
test-plain: install-dev
	@echo "=== the tests of the core, as plain Python"
	@rm -rf $(PLAIN) && mkdir -p $(PLAIN) && cp -R matching $(PLAIN) && rm -f $(PLAIN)/matching/*.so
	@PYTHONSAFEPATH=1 PYTHONPATH="$(CURDIR)/$(PLAIN):$(CURDIR)" \
		$(PY) -m pytest --core=plain --override-ini pythonpath="$(PLAIN) ." --override-ini django_find_project=false \
		tests/matching $(addprefix tests/engine/test_,$(addsuffix .py,batch groups recovery timers))

bench: install-dev
	$(PY) benchmarks/run.py $(BENCH_ARGS)

format: install-dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

docs: install-dev
	$(PY) docs/make_lifecycle.py
	$(PY) docs/make_asyncapi.py

# Hashes pin the files; an address of a registry has no business in them.
COMPILE = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate $(LOCK_ARGS)

lock: $(DEV)
	$(COMPILE) pyproject.toml --output-file requirements.lock
	$(COMPILE) pyproject.toml --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	$(PY) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' | \
		$(COMPILE) - --constraint requirements-dev.lock --output-file requirements-build.lock
	@! grep -nE '://|^--?(i|f|index|extra-index|find-links)' requirements.lock requirements-dev.lock requirements-build.lock

wheel: $(BUILD)
	$(PY) -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist

clean:
	rm -rf $(VENV) build dist matching/*.so matching__mypyc*.so matching/.compiled
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +
