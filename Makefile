# Words: demo serve test lint fix bench docs clean. Each installs what it needs.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo serve test lint fix bench docs clean lock
.DEFAULT_GOAL := help

help:
	@echo "make demo [VIDEO=path]   try it: bring up the stack, read a video, show its plates"
	@echo "make serve               run the service on port 8000"
	@echo "make test                all checks and tests"
	@echo "make lint | fix          checks only | mend what can be mended"
	@echo "make bench               speed and memory, each beside its floor"
	@echo "make clean               remove what the others made here"

$(STAMP): requirements.lock pyproject.toml
	@echo "Installing into $(VENV) (once, about 1 GB)…"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
