# Every target works from nothing: it makes its own virtual environment, from locked versions with hashes.
# `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
GOLDEN_VENV := .venv-golden
COMPONENT_VENV := .venv-component
DEPLOY_VENV := .venv-deploy
DOCS_VENV := .venv-docs
SBOM_VENV := .venv-sbom
ENGINES_VENV := .venv-engines
BIN := $(VENV)/bin
PIP_INSTALL = $(1)/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes -r $(2)
SELF = $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
BENCH := .venv-bench
DEMO_BIN := $(if $(WAREHOUSE),$(ENGINES_VENV),$(VENV))/bin
DEMO_DATA := demo-data$(if $(WAREHOUSE),-$(WAREHOUSE))
# The lock files of installations.
SHIPPED := runtime image

.PHONY: help demo dev test test-slow test-component test-engines browser bench bench-services bench-large soak incremental-histories check lint types \
	contracts definitions docs lint-deploy format golden calibrate sbom simulate \
	lock clean clean-demo

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-15s %s\n", $$1, $$2}'

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing the locked versions into $(VENV) (about a minute, once) ..."
	@$(call PIP_INSTALL,$(VENV),requirements/runtime.txt)
	@$(SELF)
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	@echo "Installing the locked development tools into $(VENV) ..."
	@$(call PIP_INSTALL,$(VENV),requirements/dev.txt)
	@touch $@

$(VENV)/.engines: requirements/engines.txt $(VENV)/.dev
	@echo "Installing the ClickHouse engine that tests read from into $(VENV) (a few hundred megabytes, once) ..."
	@$(call PIP_INSTALL,$(VENV),requirements/engines.txt) --no-deps
	@touch $@

demo: $(if $(WAREHOUSE),$(ENGINES_VENV)/.engines,$(VENV)/.runtime) ## Raw events to experiment results, real ones among them (WAREHOUSE=clickhouse or spark)
	@$(DEMO_BIN)/experiment-pipeline --data-dir $(DEMO_DATA) demo $(if $(WAREHOUSE),--warehouse $(WAREHOUSE))
	@echo "One of them again:  $(DEMO_BIN)/experiment-pipeline --data-dir $(DEMO_DATA) results one_page_checkout"
	$(if $(WAREHOUSE),,@echo "In a browser:       make dev")
	@echo "Next, your own data: docs/tutorial.md"

dev: $(VENV)/.runtime ## Dagster, the results page and the API on the demo's data, until Ctrl-C
	@$(BIN)/experiment-pipeline --data-dir $(DEMO_DATA) dev $(if $(PORT),--port $(PORT)) $(if $(API_PORT),--api-port $(API_PORT))

test: $(VENV)/.dev ## Run the test suite (about five minutes on two cores)
	$(BIN)/python -m pytest -m "not slow and not e2e"

test-slow: $(VENV)/.engines ## Run the slow and end-to-end suites
	$(BIN)/python -m pytest -m "slow or e2e"

$(COMPONENT_VENV)/.component: requirements/component.txt pyproject.toml | $(VENV)/.dev
	@echo "Installing dbt and Dagster's integration with it into $(COMPONENT_VENV) (two minutes, once) ..."
	@$(PYTHON) -m venv $(COMPONENT_VENV)
	@$(call PIP_INSTALL,$(COMPONENT_VENV),requirements/component.txt)
	@touch $@

test-component: $(COMPONENT_VENV)/.component ## Run the example of a team's own project with dbt models, over the wheel
	@rm -rf build/wheel && $(BIN)/python -m pip wheel --disable-pip-version-check --quiet --no-deps --no-build-isolation --wheel-dir build/wheel .
	@$(COMPONENT_VENV)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --force-reinstall build/wheel/*.whl
	cd examples/shop && PATH="$(abspath $(COMPONENT_VENV))/bin:$$PATH" python -m pytest

$(ENGINES_VENV)/.engines: requirements/warehouse.txt pyproject.toml
	@echo "Installing Ibis, the ClickHouse engine, Spark and PostgreSQL into $(ENGINES_VENV) (two gigabytes, once) ..."
	@$(PYTHON) -m venv $(ENGINES_VENV)
	@$(call PIP_INSTALL,$(ENGINES_VENV),requirements/warehouse.txt)
	@$(ENGINES_VENV)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

test-engines: $(ENGINES_VENV)/.engines ## Run the analysis where events lie on ClickHouse, Spark (needs Java) and PostgreSQL, against the reference
	$(ENGINES_VENV)/bin/python -m pytest -n 2 tests/warehouse/ibis

$(DOCS_VENV)/.docs: requirements/docs.txt
	@$(PYTHON) -m venv $(DOCS_VENV)
	@$(call PIP_INSTALL,$(DOCS_VENV),requirements/docs.txt)
	@touch $@

docs: $(DOCS_VENV)/.docs ## Build the documents as a site in build/site; a link that leads nowhere fails
	@$(DOCS_VENV)/bin/python -m tests.docs.site

$(SBOM_VENV)/.sbom: requirements/sbom.txt
	@$(PYTHON) -m venv $(SBOM_VENV)
	@$(call PIP_INSTALL,$(SBOM_VENV),requirements/sbom.txt)
	@touch $@

sbom: $(SBOM_VENV)/.sbom ## Write bills of materials (CycloneDX) of what production installs, into build/sbom
	@mkdir -p build/sbom
	@for each in $(SHIPPED); do \
		$(SBOM_VENV)/bin/python -W ignore -m cyclonedx_py requirements requirements/$$each.txt --pyproject pyproject.toml \
			--output-reproducible --output-file build/sbom/$$each.cdx.json && echo build/sbom/$$each.cdx.json || exit 1; done

$(DEPLOY_VENV)/.deploy: requirements/deploy.txt
	@$(PYTHON) -m venv $(DEPLOY_VENV)
	@$(call PIP_INSTALL,$(DEPLOY_VENV),requirements/deploy.txt)
	@touch $@

MANIFESTS = $(filter-out %-values.yaml,$(wildcard deploy/kubernetes/*.yaml))
lint-deploy: $(DEPLOY_VENV)/.deploy ## Check the Containerfile, the compose file and the Kubernetes manifests
	$(DEPLOY_VENV)/bin/hadolint deploy/Containerfile
	$(DEPLOY_VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose/compose.yaml
	$(DEPLOY_VENV)/bin/kubernetes-validate --strict --quiet $(MANIFESTS)

browser: tests/browser/node_modules ## Install the JavaScript SDK and axe-core that the browser tests use (needs npm; Chromium is Debian's package)

tests/browser/node_modules: tests/browser/package-lock.json
	cd tests/browser && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

$(BENCH)/.bench: requirements/bench.txt | $(VENV)/bin/python
	@echo "Installing the peer engine into $(BENCH) (half a gigabyte, once) ..."
	@$(PYTHON) -m venv $(BENCH)
	@$(call PIP_INSTALL,$(BENCH),requirements/bench.txt)
	@touch $@

bench: $(VENV)/.dev $(BENCH)/.bench ## Measure analysis and ingestion against a peer; writes docs/benchmarks.md
	@$(BIN)/python -m tests.bench $(if $(IDENTITIES),--identities $(IDENTITIES)) --write
	@$(BIN)/python -m tests.bench.ingested_files --write
	@$(BIN)/python -m tests.bench.incremental $(if $(IDENTITIES),--identities $(IDENTITIES)) --write
	@$(BIN)/python -m tests.bench.shared_scan --write

incremental-histories: $(VENV)/.dev ## Compare incremental with full refreshes over 300 random histories (an hour); writes docs/incremental-histories.md
	@$(BIN)/python -m tests.incremental --write

bench-services: $(VENV)/.dev ## Measure imports, reads over HTTP, the collector, automation, odd exposures, and pulls of sources
	@echo "Imports:"
	@$(BIN)/python -m tests.bench.imports
	@$(BIN)/python -m tests.bench.http_reads 300
	@$(BIN)/python -m tests.bench.http_reads --busy --repeats 3 300
	@$(BIN)/python -m tests.bench.pages
	@$(BIN)/python -m tests.bench.collected
	@$(BIN)/python -m tests.bench.refreshed
	@$(BIN)/python -m tests.bench.exposure_values
	@$(BIN)/python -m tests.bench.pulled
	@$(BIN)/python -m tests.bench.source_lag

MINUTES ?= 30
soak: $(VENV)/.dev ## Put a load on a whole installation for half an hour (MINUTES=...) and check it; writes docs/benchmarks.md
	@$(BIN)/python -m tests.bench.soak --minutes $(MINUTES) $(if $(EVENTS),--events $(EVENTS)) $(if $(EXPERIMENTS),--experiments $(EXPERIMENTS)) \
		$(if $(READS),--reads $(READS)) $(if $(REFRESHES),--refreshes $(REFRESHES)) --write

bench-large: $(VENV)/.dev ## The same over 100 million events, without the peer (an hour, 30 GB of disk)
	@$(BIN)/python -m tests.bench --identities 4350000 --repeats 3 --no-peer
	@$(BIN)/python -m tests.bench.incremental --identities 4350000 --only prompt --repeats 3 --write

check: lint types contracts definitions ## Lint, types, import contracts, Dagster definitions

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

definitions: $(VENV)/.dev
	$(BIN)/dagster definitions validate --workspace workspace.yaml

format: $(VENV)/.dev ## Format the code and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(GOLDEN_VENV)/.golden: requirements/golden.txt
	$(PYTHON) -m venv $(GOLDEN_VENV)
	@echo "Installing the locked reference implementations into $(GOLDEN_VENV) ..."
	@$(call PIP_INSTALL,$(GOLDEN_VENV),requirements/golden.txt)
	@touch $@

golden: $(GOLDEN_VENV)/.golden ## Compute the golden files anew with scipy, statsmodels and tea-tasting
	$(GOLDEN_VENV)/bin/python tests/public_data/convert.py
	$(GOLDEN_VENV)/bin/python -m tests.golden.make_golden

calibrate: $(VENV)/.dev ## Simulate the statistics against their bounds (docs/calibration.md), all cores
	$(BIN)/python -m tests.calibration

simulate: $(VENV)/.dev ## Simulate experiments through the whole pipeline and write docs/simulation.md, all cores, 40 minutes of CPU time
	$(BIN)/python -m tests.simulation --finished build/simulation.jsonl --output docs/simulation.md

UV_COMPILE = uv pip compile --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
	--no-emit-find-links --custom-compile-command 'make lock' --quiet
lock: ## Resolve the locked requirements anew (needs uv)
	$(UV_COMPILE) pyproject.toml --group build --output-file requirements/runtime.txt
	$(UV_COMPILE) pyproject.toml --group build --group dev --output-file requirements/dev.txt
	$(UV_COMPILE) --group bench --output-file requirements/bench.txt
	$(UV_COMPILE) --group engines --no-deps --output-file requirements/engines.txt
	$(UV_COMPILE) pyproject.toml --group build --extra postgres --extra notify --extra kubernetes --extra object-storage --output-file requirements/image.txt
	$(UV_COMPILE) --group deploy --output-file requirements/deploy.txt
	$(UV_COMPILE) --group docs --output-file requirements/docs.txt
	$(UV_COMPILE) --group sbom --output-file requirements/sbom.txt
	$(UV_COMPILE) --group golden --output-file requirements/golden.txt
	$(UV_COMPILE) pyproject.toml --group build --group dev --group warehouse-engines --output-file requirements/warehouse.txt
	$(UV_COMPILE) pyproject.toml --group component --output-file requirements/component.txt

clean-demo: ## Remove the demo's data
	rm -rf demo-data demo-data-clickhouse demo-data-spark

clean: clean-demo ## Remove what was built
	rm -rf $(VENV) .venv-bench $(GOLDEN_VENV) $(COMPONENT_VENV) $(DEPLOY_VENV) $(DOCS_VENV) $(ENGINES_VENV) $(SBOM_VENV) build/pages build/sbom build/site tests/browser/node_modules .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
