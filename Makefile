# The two commands of a first visit are `make up` and, in another terminal, `make demo`.

PYTHON ?= python3
BIN := .venv/bin
CRASH_SECONDS ?= 900
# One file of tests after the other in each of up to four processes, with servers of their own. One process more than
# there are cores, for tests wait a lot; in the order of their names, so that those that take long do not come last.
SPREAD := -n $(shell cores=$$(nproc); echo $$((cores < 3 ? cores + 1 : 4))) --dist loadfile --no-loadscope-reorder
LOCKS := pyproject.toml requirements.lock scripts/make_venv.py

.PHONY: help install up demo test check crash bench lock

help:
	@echo "make up       install into .venv and run the platform (Ctrl-C stops it)"
	@echo "make demo     simulate devices against the running platform"
	@echo "make install  only make .venv"
	@echo "make test     install what the tests need and run them"
	@echo "make check    lint, types, layers, tests: what must pass before a push"
	@echo "make crash    kill -9 and worse for 15 minutes; 'make crash CRASH_SECONDS=60 CRASH_SEED=7' to repeat a run"
	@echo "make bench    measure this machine, 15 minutes; 'make bench ROWS=\"ingest puback\"' for some rows, ROWS=--all for all"
	@echo "make lock     write the lock files anew from .venv"

install: .venv/.installed

up: .venv/.installed
	@$(BIN)/roadstead up

demo: .venv/.installed
	@$(BIN)/roadstead device simulate --devices 20

test: .venv/.installed-dev
	$(BIN)/pytest $(SPREAD)

check: .venv/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest $(SPREAD)

crash: .venv/.installed-dev
	CRASH_SECONDS=$(CRASH_SECONDS) $(if $(CRASH_SEED),CRASH_SEED=$(CRASH_SEED)) $(BIN)/pytest tests/crash -s

bench: .venv/.installed-dev
	$(BIN)/python -m bench $(ROWS)

lock: .venv/.installed-dev
	$(BIN)/python scripts/lock.py

.venv/.installed: $(LOCKS)
	@$(PYTHON) scripts/make_venv.py

.venv/.installed-dev: $(LOCKS) requirements-dev.lock
	@$(PYTHON) scripts/make_venv.py --dev
