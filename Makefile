# Everything is installed into .venv and .tools, inside this folder.
PYTHON ?= python3
BIN := .venv/bin
OPA_VERSION := v1.20.2

.PHONY: help demo test lint types rego unit opa lock bench bench-policy clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

.venv/installed: requirements.lock requirements-oracle.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@# The oracle says Python >= 3.14 and runs on 3.11, hence --ignore-requires-python.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--ignore-requires-python --require-hashes -r requirements-oracle.lock || \
		echo "the parity oracle is not installed (no wheel for this platform?): its tests skip" >&2
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: .venv/installed ## a company, a gateway and an agent: see it permit, deny, hold and prove it
	@$(BIN)/bailiwick demo

test: lint types rego unit ## lint, types, Rego tests and the whole suite

lint: .venv/installed ## format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/installed ## mypy, strict
	$(BIN)/mypy

rego: .venv/installed ## the policy bundle's own tests
	$(BIN)/pytest -q tests/rego

unit: .venv/installed ## every other test, on all cores
	$(BIN)/pytest -q -n auto --dist loadgroup --ignore=tests/rego

opa: .tools/bin/opa ## build OPA, which some tests and `opa test rego` use (needs Go)

.tools/bin/opa:
	@command -v go >/dev/null || { echo "make opa needs Go >= 1.26; or put opa on the PATH"; exit 1; }
	GOBIN="$(CURDIR)/.tools/bin" CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' \
		github.com/open-policy-agent/opa@$(OPA_VERSION)

lock: .venv/installed ## resolve the dependencies anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras \
		--generate-hashes --no-emit-index-url --no-emit-find-links --upgrade \
		--custom-compile-command "make lock" --output-file requirements.lock pyproject.toml
	@# What the container installs: the same versions, fewer of them.
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-annotate \
		--extra opa --extra cedar --extra spiffe --constraint requirements.lock \
		--generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" --output-file deploy/requirements.lock pyproject.toml
	echo hatchling | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
		--no-annotate --constraint requirements.lock \
		--generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" --output-file deploy/build.lock -

bench: .venv/installed ## calls per second: direct, one bare hop, governed
	$(BIN)/python -m benchmarks.hop

bench-policy: .venv/installed ## latency of a decision, each engine, 10 to 10,000 agents
	$(BIN)/python -m benchmarks.policy

clean: ## remove what was installed and made
	rm -rf .venv .tools dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
