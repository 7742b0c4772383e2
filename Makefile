# Every target makes its environment itself: `make demo` on a fresh clone needs nothing but Python ≥ 3.10.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO := build/demo
DEMO_MODEL ?= shiftresnet20
BENCH_FLAGS ?=
FUZZ_FLAGS ?=
WORKERS ?= auto

.PHONY: help demo test test-slow test-onnx fuzz bench bench-avx2 lint format clean

help:
	@echo "make demo       compile a shift network, check it against onnxruntime, time it beside it"
	@echo "make test       the tests; for another machine: SHIFTC_TEST_TARGET=sse2, avx2 or avx512"
	@echo "make test-slow  the tests that take minutes"
	@echo "make test-onnx  ONNX's node suite, held against its table"
	@echo "make fuzz       random models against ONNX's reference evaluator, as long as FUZZ_FLAGS say"
	@echo "make bench      networks and single convolutions beside their peers, into benchmarks/results"
	@echo "make bench-avx2 networks compiled for AVX2 beside peers held to it"
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
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow --numprocesses $(WORKERS)

test-onnx: $(INSTALLED)
	$(BIN)/python -m tests.onnx_suite --quiet --check

# `make fuzz FUZZ_FLAGS="--minutes 10 --seed 1"`; what fails is shrunk and kept in build/fuzz/failures.
fuzz: $(INSTALLED)
	$(BIN)/python -m tests.fuzz.run $(FUZZ_FLAGS)

# Long: `make bench BENCH_FLAGS="--resume --budget 30"` measures for half an hour and goes on the next time.
bench: $(INSTALLED)
	@failed=0; \
	$(BIN)/python -m benchmarks.run_all $(BENCH_FLAGS) || failed=1; \
	$(BIN)/python -m benchmarks.run_all --direct --networks resnet50 $(BENCH_FLAGS) || failed=1; \
	$(BIN)/python -m benchmarks.sweep $(BENCH_FLAGS) || failed=1; \
	$(BIN)/python -m benchmarks.tile_counts || failed=1; \
	$(BIN)/python -m benchmarks.tiling || failed=1; \
	$(BIN)/python -m benchmarks.ceiling || failed=1; \
	$(BIN)/python -m benchmarks.records || failed=1; \
	$(BIN)/python -m benchmarks.contention || failed=1; \
	$(BIN)/python -m benchmarks.compile_time || failed=1; \
	$(BIN)/python -m benchmarks.roofline || failed=1; \
	exit $$failed

bench-avx2: $(INSTALLED)
	$(BIN)/python -m benchmarks.run_all --target "llvm -mcpu=haswell" --batches 1 --threads 1 $(BENCH_FLAGS)

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
