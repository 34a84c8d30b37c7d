# Two commands on a fresh machine: `make demo` and `make test`. Each makes its own .venv when it is not there.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow test-cuda cuda-wheels lint types setup clean

demo: .venv/ready
	$(BIN)/xfer demo

# One thread each: the tests of two files run side by side instead. Those of one file stay together, in order.
test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

# Minutes long; for the night.
test-slow: .venv/ready
	$(BIN)/python -m pytest -m slow

# On a machine with a card and without a network: its own python3 has torch and pytest, and the wheels that
# `make cuda-wheels` left in $(WHEELS) on a machine with a network (2 MB) are what else is needed. See docs/cuda.md.
WHEELS := build/cuda-wheels
CUDA_SITE := build/cuda-site
CUDA_PYTHON ?= python3
CUDA_VERSION ?= 3.12

test-cuda:
	test ! -d $(WHEELS) || $(CUDA_PYTHON) -m pip install --quiet --no-index --no-deps --no-cache-dir --upgrade \
		--target $(CUDA_SITE) $(WHEELS)/*.whl
	XFER_CUDA=required PYTHONPATH=$(CURDIR)/$(CUDA_SITE):$(CURDIR) $(CUDA_PYTHON) -m pytest -m cuda tests/cuda

cuda-wheels:
	rm -rf $(WHEELS)
	$(PYTHON) -m pip download --quiet --no-deps --only-binary=:all: --constraint constraints.txt \
		--python-version $(CUDA_VERSION) --implementation cp --platform manylinux_2_28_x86_64 \
		--platform manylinux_2_27_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
		--dest $(WHEELS) soundfile cffi pycparser soxr tomli_w loky

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[all,test]'
	touch $@

clean:
	rm -rf .venv
