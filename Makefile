# One command for everything. `make` lists them.

# The oldest supported Python first: the locks are compiled with it.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || command -v python)
PIP_TOOLS := 7.6.2
BIN := .venv/bin
IN_SRC := PYTHONPATH=src

# An environment whose interpreter is gone is made anew.
$(shell test -x $(BIN)/python || rm -f .venv/.runtime .venv/.development)

# Without caches each process that a test starts would compile everything again.
unexport PYTHONDONTWRITEBYTECODE
# Many tests wait for something that happens elsewhere: one process more than there are processors loses nothing by it.
TEST_PROCESSES := $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))

# Of the lines of each floor so many percent are run by the tests; a part of the tests is not held to that.
define FLOORS
@$(BIN)/python -m coverage report --include='src/domain/*' --fail-under=99
@$(BIN)/python -m coverage report --include='src/application/*' --fail-under=97
endef

.DEFAULT_GOAL := help
SYSTEM_PACKAGES := chromium nginx-light nodejs openssl prometheus
FAULT_PACKAGES := iproute2 strace

.PHONY: help run test test-system test-faults check audit pin-images format migration lock bench clean

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 - \2/p' $(MAKEFILE_LIST) | awk -F ' - ' '{ printf "%-18s %s\n", $$1, $$2 }'

run: .venv/.runtime ## Run Signalbox with a PostgreSQL of its own; PORT and DATA_DIR move it
	@$(IN_SRC) exec $(BIN)/python -m entrypoints.cli demo

test: .venv/.development ## Run all tests against a real PostgreSQL and Redis; ARGS="-k tasks" narrows them
	@$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist worksteal $(or $(ARGS),--cov --cov-report=)
	$(if $(ARGS),,$(FLOORS))

# What these need comes from Debian; root gets it installed, anybody else is told what is missing.
test-system: .venv/.development ## Test with a real Chromium, Node.js, nginx and Prometheus, which Debian brings
	@tests/system/tools.sh $(SYSTEM_PACKAGES)
	@$(BIN)/python -m pytest -o faulthandler_timeout=600 tests/system $(ARGS)

test-faults: .venv/.development ## Test under load while processes are killed, stopped and starved: minutes, as root
	@tests/system/tools.sh $(FAULT_PACKAGES)
	@$(BIN)/python -m pytest tests/faults $(ARGS)

check: .venv/.development ## Check format, lint, types, architecture and the files of deployments
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m mypy src tests migrations
	@$(IN_SRC) $(BIN)/lint-imports
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml
	@$(BIN)/kubernetes-validate --strict --quiet $(filter-out %/kustomization.yaml,$(wildcard deploy/kubernetes/*.yaml))
	@$(BIN)/python -m pytest -q tests/architecture

format: .venv/.development ## Format the code, and mend what the linter can mend by itself
	@$(BIN)/python -m ruff check --fix-only --quiet .
	@$(BIN)/python -m ruff format .

migration: .venv/.development ## Draft a migration from the changed tables: make migration name="archive a task"
	@test -n "$(name)" || { echo 'It needs a name: make migration name="archive a task"' >&2; exit 2; }
	@$(IN_SRC) $(BIN)/python migrations/draft.py "$(name)"

# Needs the network, so no other command waits for it.
audit: .venv/.development ## Write an SBOM, and ask whether a locked package has a known vulnerability; DATABASE=osv asks OSV
	@$(BIN)/python deploy/audit.py --database $(or $(DATABASE),pypi)

pin-images: .venv/.development ## Write the digests of all images into compose.yaml and the Dockerfile; needs Docker and a network
	@$(BIN)/python deploy/pin_images.py

lock: ## Write the lock files from pyproject.toml; ARGS=--upgrade takes the newest versions
	@$(PYTHON) -m venv --clear .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check pip-tools==$(PIP_TOOLS)
	@$(COMPILE) --output-file requirements.lock $(ARGS) pyproject.toml
	@$(COMPILE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock $(ARGS) pyproject.toml
	@rm -rf .venv-lock

# With hashes, and without where the packages came from: that differs from machine to machine.
COMPILE = CUSTOM_COMPILE_COMMAND="make lock" .venv-lock/bin/python -m piptools compile --quiet --generate-hashes \
	--strip-extras --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

bench: .venv/.development ## Measure Signalbox beside its peers; see benchmarks/README.md
	@$(BIN)/python benchmarks/side_by_side.py $(ARGS)

clean: ## Remove the environment and all caches, but not your data in var/
	rm -rf .venv .venv-lock .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/.runtime: requirements.lock
	$(MAKE_VENV)
	@echo "Installing what Signalbox needs …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

# The development lock holds everything of the other one, in the same versions.
.venv/.development: requirements-dev.lock
	$(MAKE_VENV)
	@echo "Installing what Signalbox and its tests need …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@ .venv/.runtime

define MAKE_VENV
@test -x $(BIN)/python || { \
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo 'Python 3.11 or newer is needed: make PYTHON=/path/to/python3' >&2; exit 1; }; \
	"$(PYTHON)" -m venv --clear .venv; }
endef
