# make demo: three real MPI jobs in a container.  make test: everything that can be checked. Both set up what they need.
PYTHON := .venv/bin/python
BIN := .venv/bin
DEMO := build/images/demo.sqfs
C_FILES := $(wildcard launcher/*.[ch] launcher/mpir/*.c examples/*.c tests/mpi/programs/*.c tests/mpi/pmi_programs/*.[ch] pmix_shim/*.[ch])
PYTEST_ARGS ?=
MPI4PY_ARGS ?=

demo: setup native demo-image
	@tools/demo.sh $(DEMO)

test: setup-test native lint images
	$(BIN)/pytest -q $(PYTEST_ARGS) tests

lint: setup
	$(BIN)/ruff check src tools tests
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/clang-format --dry-run --Werror $(C_FILES)

# mpi4py's own tests under lwkpm-run and each MPI's launcher; MPI4PY_ARGS="--mpi mpich-5 -n 2 --modules ^test_spawn".
test-mpi4py: setup native
	$(PYTHON) -m tools.mpi4py_suite $(MPI4PY_ARGS)

bench-launch: setup native images
	$(PYTHON) -m tools.bench_launch

# Both sub-makes and image builds decide by themselves whether anything is out of date.
native: setup
	@$(MAKE) --no-print-directory -C launcher
	@$(MAKE) --no-print-directory -C pmix_shim

sanitized: setup
	@$(MAKE) --no-print-directory -C launcher conenter-asan
	@$(MAKE) --no-print-directory -C pmix_shim sanitized

demo-image: setup
	@$(PYTHON) -m tools.images demo

images: setup
	@$(PYTHON) -m tools.images demo tests

setup:
	@tools/setup.sh demo

setup-test:
	@tools/setup.sh test

clean:
	$(MAKE) -C launcher clean
	$(MAKE) -C pmix_shim clean
	rm -rf build .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tools tests -name __pycache__ -type d -exec rm -rf {} +

.PHONY: demo test test-mpi4py lint bench-launch native sanitized demo-image images setup setup-test clean
