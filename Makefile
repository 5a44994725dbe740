# Everything works from a fresh clone on a machine with Python 3.11; run `make` for the list.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PORT ?= 3000
export DAGSTER_HOME ?= $(CURDIR)/.dagster_home

CHAOS ?= --prompts 200 --kills 30
STORIES ?= --stories 200
FUZZ_SECONDS ?= 300

.PHONY: help install demo dev test check fix chaos proof bench fuzz screenshots audit docs lint types imports lock clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

install: $(INSTALLED) ## a virtual environment in .venv with the pinned packages

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: install ## the sample prompts to pictures, on the built-in sandbox: free, no key
	@DUOMI_BASE_URL=sandbox $(BIN)/duomi generate
	@echo
	@echo "Next: make dev            look at it in Dagster's UI, http://127.0.0.1:3000"
	@echo "      make demo           again: nothing is generated twice"
	@echo "      $(BIN)/duomi why db_1   the history of one picture"
	@echo "      cp .env.example .env    then set DUOMI_API_KEY for real pictures"

dev: install ## Dagster's UI with all assets, on http://127.0.0.1:3000
	@mkdir -p "$$DAGSTER_HOME" && cp -u dagster.yaml "$$DAGSTER_HOME/dagster.yaml"
	$(BIN)/duomi dev --port $(PORT)

test: install ## the tests, and which took longest
	$(BIN)/python -m pytest --durations=10 --durations-min=1

chaos: install ## the proof: 200 prompts, 30 SIGKILLs, every fault on; then three books are compared; CHAOS="--workers 2 …"
	$(BIN)/python -m duomi_pipeline_tests.chaos --protocol async $(CHAOS)
	$(BIN)/python -m duomi_pipeline_tests.chaos --protocol sync $(CHAOS)

proof: install ## every interleaving of two runs with a death, random stories, and seeded defects that both must find
	$(BIN)/python -m duomi_pipeline_tests.proof.schedules --prompts 1
	$(BIN)/python -m duomi_pipeline_tests.proof.schedules --prompts 2 --reduced
	$(BIN)/python -m duomi_pipeline_tests.proof.machine $(STORIES)
	$(BIN)/python -m duomi_pipeline_tests.proof.mutants

bench: install ## time and memory beside references, and among 100,000 prompts; BENCH=--save SCALE=--save keep the tables
	$(BIN)/python -m duomi_pipeline_tests.bench $(BENCH)
	$(BIN)/python -m duomi_pipeline_tests.bench.scale $(SCALE)

fuzz: install ## hostile sources, answers and pictures at random for FUZZ_SECONDS (300); each finding is printed
	$(BIN)/python -m duomi_pipeline_tests.fuzz --seconds $(FUZZ_SECONDS)

screenshots: install ## the pictures of README and docs, made anew: the sample prompts, Dagster's UI and the gallery in Chromium
	$(BIN)/python -m duomi_pipeline_tests.screenshots

docs: ## the handbook and the API reference as a static site, site/index.html
	@test -x $(VENV)-docs/bin/mkdocs || { $(PYTHON) -m venv $(VENV)-docs && \
		$(VENV)-docs/bin/pip install --quiet --disable-pip-version-check --requirement requirements-docs.lock; }
	@# mkdocs takes one folder; the pages stay where GitHub shows them.
	@mkdir -p build/handbook/duomi_pipeline/duomi
	@for page in README.md CONTRIBUTING.md CHANGELOG.md docs duomi_pipeline/duomi/models.toml; do \
		ln -sfn "$(CURDIR)/$$page" "build/handbook/$$page"; done
	@# Of this folder only what is committed: passwords may lie in it.
	@for file in $$(git ls-files deploy); do mkdir -p "build/handbook/$$(dirname $$file)"; \
		ln -sfn "$(CURDIR)/$$file" "build/handbook/$$file"; done
	NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs build --strict

audit: install ## known vulnerabilities of the pinned packages (asks PyPI), and whether they fit together
	$(BIN)/pip check
	$(BIN)/pip-audit --strict --progress-spinner off --no-deps --disable-pip --requirement requirements.lock

lint: install ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install ## mypy, strict
	$(BIN)/mypy

imports: install ## imports point one way
	$(BIN)/lint-imports

check: install ## all that CI runs, and how long each step took
	@for step in lint types imports test; do \
		start=$$(date +%s); $(MAKE) --no-print-directory $$step || exit 1; \
		echo "make $$step: $$(( $$(date +%s) - start )) s"; done

fix: install ## what ruff can fix by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## compile requirements.lock from pyproject.toml
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet pip-tools
	$(VENV)-lock/bin/pip-compile --quiet --extra dev --strip-extras --no-emit-index-url --no-emit-find-links \
		--no-emit-trusted-host --output-file requirements.lock pyproject.toml
	$(VENV)-lock/bin/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links \
		--no-emit-trusted-host --output-file requirements-docs.lock requirements-docs.in
	rm -rf $(VENV)-lock

clean: ## the virtual environment and caches; never pictures, ledger or history
	rm -rf $(VENV) $(VENV)-docs site .mypy_cache .ruff_cache .pytest_cache build *.egg-info
