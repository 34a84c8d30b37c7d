# Two commands on a fresh machine: `make demo` and `make test`. Each makes its own .venv when it is not there.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow lint types setup clean

demo: .venv/ready
	$(BIN)/xfer demo

test: .venv/ready
	$(BIN)/python -m pytest

# Minutes long; for the night.
test-slow: .venv/ready
	$(BIN)/python -m pytest -m slow

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
