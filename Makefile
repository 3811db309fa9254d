# Set-up happens by itself: every target first makes .venv, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export DAGSTER_HOME ?= $(CURDIR)/.dagster
export PYTHONWARNINGS ?= ignore::DeprecationWarning
READY := $(VENV)/.ready
EXTRAS := $(VENV)/.extras

.PHONY: help setup extras demo test test-app check fuzz survive cluster cluster-demo ui bench clean

help:
	@echo "make demo    footage to released model and report, on footage that the project renders itself"
	@echo "make ui      the Dagster UI with everything that the demo made, on http://127.0.0.1:3000"
	@echo "make test    lint, types and tests"
	@echo "make test-app the page in the browser, posellm app"
	@echo "make fuzz    2,000 damaged files: nothing uncaught, large or slow, and no clip behind them lost"
	@echo "make survive what make ui starts, killed in the middle of its work; each file of a lake damaged: minutes"
	@echo "make cluster what takes several machines, on a Ray cluster that it starts here: some minutes"
	@echo "make cluster-demo  the demo over two Ray machines and Postgres, all started and stopped here"
	@echo "make bench   the speed and quality claims, as ratios: two hours or more; each script of bench/ runs alone too"
	@echo "make clean   remove the virtual environment (not the lake)"

extras: $(EXTRAS)

setup: $(READY) $(DAGSTER_HOME)/dagster.yaml

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@if command -v nvidia-smi >/dev/null; then $(BIN)/python -m pip install --quiet --constraint constraints.txt ".[unsloth]"; fi
	@touch $(READY)

$(DAGSTER_HOME)/dagster.yaml: | $(READY)
	@$(BIN)/posellm init

$(EXTRAS): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,app,cluster]"
	@touch $(EXTRAS)

demo: setup
	@$(BIN)/posellm demo

ui: setup
	$(BIN)/posellm ui --port $(or $(PORT),3000)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	$(BIN)/pytest --numprocesses 3 --no-loadscope-reorder

test-app: $(EXTRAS)
	$(BIN)/pytest -m app

fuzz: $(READY)
	$(BIN)/python bench/fuzz.py --files 2000

survive: $(READY)
	$(BIN)/pytest -m survive

cluster: $(EXTRAS)
	$(BIN)/pytest -m cluster

cluster-demo: $(EXTRAS)
	@$(BIN)/python -m posellm_assets.commands.cluster_demo

bench: $(READY)
	@missed=0; for script in $$(grep -l '^if __name__' bench/*.py); do echo "== $$script"; $(BIN)/python $$script || missed=1; done; exit $$missed

clean:
	rm -rf $(VENV)
