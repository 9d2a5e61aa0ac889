# Needs make and Python >= 3.11 with venv; everything else is installed into .venv from the hash locks.
.DEFAULT_GOAL := help
.PHONY: up demo ui ui-dev test test-kafka test-postgres kafka-jars fuzz fuzz-parsers soak soak-faults soak-ui check bench bench-compare lock format clean help
.DELETE_ON_ERROR:
# Tests, and `up` too, start many processes; each would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?=
python := .venv/bin/python
run := $(python) -m
# Sets $$found to the first Python that will do; PYTHON=... on the command line wins.
find_python = for found in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14); do \
	"$$found" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; found=; done

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' Makefile

up: .venv/.run ## start everything on this machine (Ctrl-C stops it)
	@exec $(run) app.cli up

demo: .venv/.run ## show a zap at work on a running `make up`
	@exec $(run) app.cli demo

ui: app/ui/.openapi.json app/ui/node_modules/.package-lock.json ## build the web UI anew, into app/ui/dist (needs Node 20.19 or newer)
	@cd app/ui && npm run --silent types && npm run --silent check && npm run --silent build

ui-dev: app/ui/.openapi.json app/ui/node_modules/.package-lock.json ## serve the web UI as it is written, beside a running `make up`
	@cd app/ui && npm run --silent types && npm run --silent dev

test: .venv/.dev ## every test but benchmarks and soaks
	@$(run) pytest tests -n 4 --ignore=tests/benchmarks -m "not soak and not benchmark" $(ARGS)

# Of the tests of a whole system those that look at what the broker does: the others would show the same on any.
e2e_with_kafka = $(addprefix tests/e2e/test_,compose_processes.py log_of_before.py spine.py triggers.py)

test-kafka: .venv/.dev .kafka/.jars ## the tests that touch Kafka, on Apache Kafka (needs Java 17 and Maven)
	@TRIGGERHUB_TEST_KAFKA=apache $(run) pytest tests/kafka tests/faults $(e2e_with_kafka) -n 3 -m "not soak and not benchmark" $(ARGS)

test-postgres: .venv/.dev ## the tests of the database, on this machine's PostgreSQL (14 or newer)
	@TRIGGERHUB_TEST_POSTGRES=system $(run) pytest tests/postgres tests/contract/test_event_store.py -n 3 $(ARGS)

fuzz: .venv/.dev ## hold the API against its document for longer than `make test` does (EXAMPLES=50)
	@TRIGGERHUB_TEST_EXAMPLES=$(or $(EXAMPLES),50) $(run) pytest tests/http/test_fuzz.py -s $(ARGS)

soak: .venv/.dev .kafka/.jars ## load on Apache Kafka while everything is killed at random (MINUTES=5, SEED=...)
	@TRIGGERHUB_TEST_KAFKA=apache TRIGGERHUB_SOAK_MINUTES=$(or $(MINUTES),5) TRIGGERHUB_SOAK_SEED=$(SEED) \
		$(run) pytest tests/soak -m soak -s $(ARGS)

soak-faults: .venv/.dev ## every fault of the list, one after the other, on the embedded broker (SEED=...)
	@TRIGGERHUB_SOAK_SEED=$(SEED) $(run) pytest tests/soak/test_faults.py -m soak -s $(ARGS)

soak-ui: .venv/.dev ## the live stream through restarts, with 1,000 listeners; the web UI under load for MINUTES=3
	@TRIGGERHUB_SOAK_MINUTES=$(or $(MINUTES),3) $(run) pytest tests/http/test_live_processes.py tests/browser -m soak -s $(ARGS)

fuzz-parsers: .venv/.dev ## every parser with hostile input, guided by coverage where atheris installs (MINUTES=5, ARGS="--target url")
	@$(python) -c 'import atheris' 2>/dev/null || $(run) uv pip install --quiet --no-config --python $(python) --require-hashes \
		-r tests/fuzz/requirements.txt || echo "There is no atheris for this Python: Hypothesis makes the inputs."
	@$(run) tests.fuzz --minutes $(or $(MINUTES),5) $(ARGS)

kafka-jars: .kafka/.jars ## fetch the Apache Kafka server for the tests

check: .venv/.dev ## lint, format, types, import rules
	$(run) ruff check .
	$(run) ruff format --check .
	$(run) mypy
	@$(python) -c 'from importlinter.cli import lint_imports_command as run; run()'

bench: .venv/.dev ## measure, and print the table of ARCHITECTURE.md
	@$(run) tests.benchmarks $(ARGS)

bench-compare: .venv/.dev ## this release beside another commit, as ratios (BASE=..., ARGS="--figures idle,20/s,full --rounds 5 --write")
	@$(run) tests.benchmarks.compare $(or $(BASE),$(error BASE=COMMIT is missing)) $(ARGS)

format: .venv/.dev ## rewrite the code in the agreed style
	$(run) ruff check --fix .
	$(run) ruff format .

lock: .venv/.run ## resolve the dependencies again (ARGS=--upgrade for newer ones)
	$(compile) --extra local --group build -o requirements.lock
	$(compile) --extra local --group build --group dev -c requirements.lock -o requirements-dev.lock

compile = $(run) uv pip compile pyproject.toml --quiet --universal --generate-hashes --no-annotate \
	--python-version 3.11 --custom-compile-command "make lock" $(ARGS)

clean: ## remove the environment and all caches; data in .triggerhub stays
	rm -rf app/ui/node_modules app/ui/.openapi.json .bench .fuzz .kafka .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find app domain projections relay consumers sql tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps make a second run instant. Installing the test tools also installs all that `up` needs.
.venv/.run: requirements.lock pyproject.toml | .venv/.python
	@rm -f .venv/.dev
	@$(call install,requirements.lock)
	@touch $@

.venv/.dev: requirements-dev.lock pyproject.toml | .venv/.python
	@$(call install,requirements-dev.lock)
	@touch .venv/.run $@

# What the API says of itself; the UI's types are made from it, so that a change it cannot live with fails the build.
app/ui/.openapi.json: .venv/.dev FORCE
	@$(run) app.http.openapi >$@

app/ui/node_modules/.package-lock.json: app/ui/package-lock.json
	@cd app/ui && npm ci --no-audit --no-fund --silent && touch node_modules/.package-lock.json

FORCE:

.venv/.python:
	@$(python) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { $(find_python); \
	if [ -z "$$found" ]; then \
		echo "No Python 3.11 or newer with venv was found. Install one (on Debian and Ubuntu: python3 python3-venv)," >&2; \
		echo "or name it: make PYTHON=/path/to/python3 ..." >&2; exit 1; fi; \
	echo "Creating .venv with $$("$$found" --version)"; "$$found" -m venv --clear .venv; }
	@touch $@

.kafka/.jars: tests/kafka/pom.xml
	@rm -rf .kafka && mkdir .kafka
	@mvn -q -B -f $< dependency:copy-dependencies
	@touch $@

# uv itself comes through pip with its hashes from the lock; pip also stands in where uv cannot reach an index.
install = echo "Installing $(1)" && \
	{ $(run) uv --version >/dev/null 2>&1 || { awk '/^[a-z]/{p=/^uv==/} p' $(1) >.venv/uv.txt && \
		$(run) pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt; }; } && \
	{ $(run) uv pip sync --quiet --python $(python) --require-hashes $(1) || \
		$(run) pip install --quiet --disable-pip-version-check --require-hashes -r $(1); } && \
	$(run) uv pip install --quiet --python $(python) --offline --no-deps --no-build-isolation -e .
