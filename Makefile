# make demo   the main job: train, prune, quantise, compile, simulate a LeNet-5; results in runs/demo
# make test   linters and the test suite but for the tests marked slow; make test-all runs those as well
# make docs   the documentation as a site in build/site, every link checked
# Each sets up everything it needs; a second run finds it there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready-$(shell cat pyproject.toml constraints.txt Makefile 2>/dev/null | cksum | cut -d' ' -f1)
DOCS_STAMP := $(subst .ready-,.ready-docs-,$(STAMP))
OUT ?= runs/demo

.PHONY: demo test test-all suite lint docs check-tools icarus browser setup setup-docs clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

setup: $(STAMP)

# Byte code is made on all cores, which pip does not do; what some packages have of templates is no Python, and stays.
$(STAMP): | check-tools
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[train,fpga,explore,dev]'
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib/python3*/site-packages || true
	@test -n "$$($(BIN)/python -m find_libpython)" || { echo "error: $(PYTHON) has no shared library, which simulators load;" \
	  "Debian and Ubuntu: apt-get install libpython3-dev" >&2; exit 3; }
	rm -f $(VENV)/.ready-*
	touch $@

check-tools:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11; run: make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }
	@for tool in c++ perl; do command -v $$tool > /dev/null || \
	  { echo "error: $$tool is missing, Verilator needs it; install it with the system's package manager" >&2; exit 2; }; done

demo: setup
	$(BIN)/hwprm demo --out $(OUT)

# What the site is built with; the demo does without.
setup-docs: $(DOCS_STAMP)

$(DOCS_STAMP): | $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

docs: setup-docs
	$(BIN)/python docs/site/build.py build/site

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# $(call install,COMMAND,PACKAGES,NAME): what the tests need and the demo does not, through apt-get where that is allowed.
install = command -v $(1) > /dev/null && exit 0; \
	sudo=; test "$$(id -u)" = 0 || sudo="sudo -n"; \
	get="$$sudo apt-get install -y -q --no-install-recommends $(2)"; \
	if command -v apt-get > /dev/null && { test -z "$$sudo" || $$sudo true 2> /dev/null; }; then \
	  $$get || { $$sudo apt-get update -q && $$get; }; \
	fi; \
	command -v $(1) > /dev/null || \
	  { echo "error: the tests need $(3) (the command $(1)); install the package $(1)" >&2; exit 3; }

# The second simulator.
icarus:
	@$(call install,iverilog,iverilog,Icarus Verilog 11 or newer)

# The page of `hwprm report` is tested in a real browser, which draws no text without a font.
browser:
	@$(call install,chromium,chromium fonts-dejavu-core,Chromium)

# A process per core, a thread each. A file stays in one process: its tests share what they build. The order of the
# files is that of tests/conftest.py, not one by numbers of tests, by which small and many come first.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# Linters run beside the tests: they wait for one core only, and the tests have an idle one at the end.
test: setup setup-docs icarus browser
	@$(MAKE) --no-print-directory --jobs 2 lint suite

test-all: setup setup-docs icarus browser
	@HWPRM_LONG_ROUND=1 $(MAKE) --no-print-directory --jobs 2 lint suite SELECT=

SELECT := -m "not slow"
# Byte code first: a process that a test starts writes none where PYTHONDONTWRITEBYTECODE is set, and compiles all anew.
suite: setup setup-docs icarus browser
	$(BIN)/python -m compileall -qq -j 0 hwprm
	$(PYTEST) $(SELECT)

clean:
	rm -rf $(VENV) build dist
