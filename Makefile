# Every target makes its environment itself: `make demo` on a fresh clone needs nothing but Python ≥ 3.10.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO := build/demo
DEMO_MODEL ?= shiftresnet20

.PHONY: help demo test test-slow bench lint format clean

help:
	@echo "make demo       compile a shift network, check it against onnxruntime, time it beside it"
	@echo "make test       the tests"
	@echo "make test-slow  the tests that take minutes"
	@echo "make bench      every network of the zoo beside its peers, into benchmarks/results"
	@echo "make lint       ruff, its formatter, mypy --strict, import contracts"
	@echo "make format     what ruff can mend"
	@echo "make clean      remove what the other targets made"

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "shiftc needs Python 3.10 or newer; set PYTHON to one" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(INSTALLED)
	@mkdir -p $(DEMO)
	$(BIN)/shiftc zoo $(DEMO_MODEL) -o $(DEMO)/$(DEMO_MODEL).onnx
	$(BIN)/shiftc compile $(DEMO)/$(DEMO_MODEL).onnx -o $(DEMO)/$(DEMO_MODEL)
	$(BIN)/shiftc inspect $(DEMO)/$(DEMO_MODEL)
	$(BIN)/shiftc run $(DEMO)/$(DEMO_MODEL) --print-top 3
	$(BIN)/shiftc bench $(DEMO)/$(DEMO_MODEL).onnx --against onnxruntime

test: $(INSTALLED)
	$(BIN)/python -m pytest

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

bench: $(INSTALLED)
	$(BIN)/python benchmarks/run_all.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build *.egg-info
