# Everything a person or CI does with this repository; `make` alone lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
# Extra words for the tool a target runs: make test ARGS="-k retry"
ARGS ?=

export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo demo-aws up assets test check fix bench soak docs checkov lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) assets ## Run three real jobs on a sample video and show what they made
	@$(BIN)/python deploy/examples/media/demo.py $(ARGS)

demo-aws: $(READY) assets ## The same on AWS, with all of AWS on this machine and no account
	@$(BIN)/python deploy/examples/media/demo_aws.py $(ARGS)

up: $(READY) assets ## Start everything on laptop defaults and stay
	@$(BIN)/barbeque up $(ARGS)

assets: $(READY) ## Build the console's styles and scripts, if their sources have changed
	@$(BIN)/python console/ui/assets.py

test: check assets ## What CI runs: the checks and every test but the soak
	$(BIN)/pytest -m "not soak" -n 3 --dist loadfile --no-loadscope-reorder --durations=25 $(ARGS)

check: $(READY) ## Format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(READY) ## Format, and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) assets ## Measure, in about ten minutes: ratios to the bare thing, interleaved
	@$(BIN)/python -m bench $(ARGS)

soak: $(READY) assets ## The crash suite at its full numbers
	$(BIN)/pytest -m soak -s -o timeout=0 $(ARGS)

docs: $(READY) ## Build docs/ as a site that needs no network: build/site/index.html
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet $(ARGS)
	@echo "build/site/index.html"

checkov: .cache/checkov/bin/checkov ## Ask checkov, which has an environment of its own, about the templates
	@$< --directory deploy/cloudformation --framework cloudformation --compact --quiet --skip-download $(ARGS)

lock: $(READY) ## Write requirements/*.txt anew from pyproject.toml
	@sh .ci/lock $(ARGS)

clean: ## Remove the environment, caches and what the demo left
	rm -rf $(VENV) .barbeque .cache build dist console/ui/node_modules console/barbeque_console/static
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# It wants other versions of what we have, and nothing of ours needs it.
.cache/checkov/bin/checkov:
	@$(PYTHON) -m venv .cache/checkov
	@.cache/checkov/bin/pip install --quiet --disable-pip-version-check checkov

$(READY): requirements/dev.txt pyproject.toml .ci/venv
	@sh .ci/venv "$(PYTHON)" "$(VENV)"
