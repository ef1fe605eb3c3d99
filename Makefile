# Two commands on a fresh machine: `make demo` and `make test`.
# Each makes .venv, installs with constraints.txt, and runs.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# Two threads: on small machines more threads than cores make everything slower.
export OMP_NUM_THREADS ?= 2

.PHONY: help install demo test lint bench evaluate clean

help:
	@echo "make demo   install, run the example on the embedded grid, save its figure"
	@echo "make test   install, lint, run all tests and doctests"
	@echo "make lint   install, check style and format"
	@echo "make bench  measure on the real spectra beside the checkout (../shared/data)"
	@echo "make evaluate  how accurate, calibrated and fast inference is, on the same spectra"
	@echo "make clean  remove the environment and everything generated"

# The stamp is written last, so that an install that broke off, or a .venv made by other means, is
# installed into again. torch first and alone: its constraint keeps later installs from replacing it.
$(VENV)/installed: pyproject.toml constraints.txt
	@echo "Installing into $(VENV): some minutes the first time."
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet --constraint constraints.txt torch
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[plot,test]'
	@touch $@

install: $(VENV)/installed

demo: install
	$(PY) examples/plot_demo.py

lint: install
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

test: lint
	$(PY) -m pytest

bench: install
	$(PY) benchmarks/bench_render.py
	$(PY) benchmarks/bench_grids.py

evaluate: install
	$(PY) benchmarks/evaluate.py

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis demo_output bench_output
