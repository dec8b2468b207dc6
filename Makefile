# Everything is installed into .venv and .tools, inside this folder.
PYTHON ?= python3
BIN := .venv/bin
OPA_VERSION := v1.20.2

.PHONY: help demo test lint types rego unit opa lock bench clean

help: ## list these targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
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

bench: .venv/installed ## calls per second: direct, one bare hop, governed
	$(BIN)/python -m benchmarks.hop

clean: ## remove what was installed and made
	rm -rf .venv .tools dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
