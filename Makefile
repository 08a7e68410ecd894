# make demo   the main job: train, prune, quantise, compile, simulate a LeNet-5; results in runs/demo
# make test   linters and the whole test suite
# Both set up everything they need; a second run finds it there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready-$(shell cat pyproject.toml constraints.txt Makefile 2>/dev/null | cksum | cut -d' ' -f1)
OUT ?= runs/demo

.PHONY: demo test lint check-tools icarus setup clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

setup: $(STAMP)

$(STAMP): | check-tools
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev]'
	rm -f $(VENV)/.ready-*
	touch $@

check-tools:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; run: make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }
	@for tool in c++ perl; do command -v $$tool > /dev/null || \
	  { echo "error: $$tool is missing, Verilator needs it; install it with the system's package manager" >&2; exit 2; }; done

demo: setup
	$(BIN)/hwprm demo --out $(OUT)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Icarus is the second simulator; the tests need it, the demo does not.
icarus:
	@command -v iverilog > /dev/null && exit 0; \
	sudo=; test "$$(id -u)" = 0 || sudo="sudo -n"; \
	if command -v apt-get > /dev/null && { test -z "$$sudo" || $$sudo true 2> /dev/null; }; then \
	  $$sudo apt-get install -y -q iverilog || { $$sudo apt-get update -q && $$sudo apt-get install -y -q iverilog; }; \
	fi; \
	command -v iverilog > /dev/null || \
	  { echo "error: the tests need Icarus Verilog 11 or newer (the command iverilog); install the package iverilog" >&2; exit 3; }

test: setup icarus lint
	$(BIN)/python -m pytest

clean:
	rm -rf $(VENV) build dist
