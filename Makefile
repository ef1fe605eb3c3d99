# Two commands on a fresh machine: `make demo` and `make test`.
# Each makes .venv, installs with constraints.txt, and runs.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# Two threads: on small machines more threads than cores make everything slower.
export OMP_NUM_THREADS ?= 2

# Test files run so many at once; each on one thread.
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest --numprocesses $(or $(WORKERS),2) --dist loadfile

.PHONY: help install demo test coverage lint docs package minimum bench evaluate clean

help:
	@echo "make demo      install, run the example on the embedded grid, save its figure"
	@echo "make test      install, lint, run all tests and doctests"
	@echo "make coverage  the same tests, and which lines and branches none of them reaches"
	@echo "make lint      check style, format and types"
	@echo "make docs      build the documentation into docs/_build/html; a warning is an error"
	@echo "make package   build sdist and wheel, install the wheel into an empty environment, try it"
	@echo "make minimum   test with the oldest versions of what skphx needs"
	@echo "make bench     measure on the real spectra beside the checkout (../shared/data)"
	@echo "make evaluate  how accurate, calibrated and fast inference is, on the same spectra"
	@echo "make clean     remove the environments and everything generated"

# The stamp is written last, so that an install that broke off, or a .venv made by other means, is
# installed into again. torch first and alone: its constraint keeps later installs from replacing it.
$(VENV)/installed: pyproject.toml constraints.txt
	@echo "Installing into $(VENV): some minutes the first time."
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet --constraint constraints.txt torch
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[docs,plot,test]'
	@touch $@

install: $(VENV)/installed

demo: install
	$(PY) examples/plot_demo.py

lint: install
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

test: lint
	$(PYTEST) $(PYTEST_OPTIONS)

coverage:
	$(MAKE) test PYTEST_OPTIONS='--cov --cov-report=term'

docs: install
	$(PY) -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo "open docs/_build/html/index.html"

# The example runs outside the checkout, so that it is the wheel that is imported.
package: install
	rm -rf dist .venv-package
	$(PY) -m build --outdir dist
	$(PYTHON) -m venv .venv-package
	.venv-package/bin/python -m pip install --quiet --constraint constraints.txt torch
	.venv-package/bin/python -m pip install --quiet --constraint constraints.txt "$$(ls dist/*.whl)[plot]"
	cd dist && MPLBACKEND=agg ../.venv-package/bin/python ../examples/plot_inference.py
	.venv-package/bin/skphx --help > dist/help.txt
	rm -rf .venv-package dist/help.txt

# Old versions warn about what newer ones changed: here warnings are no errors.
minimum:
	$(PYTHON) -m venv .venv-minimum
	.venv-minimum/bin/python -m pip install --quiet --constraint constraints.txt torch
	.venv-minimum/bin/python -m pip install --quiet --constraint constraints.txt \
		--constraint constraints-minimum.txt --editable '.[plot,test]'
	$(subst $(PY),.venv-minimum/bin/python,$(PYTEST)) --override-ini filterwarnings=default \
		tests/test_common.py tests/test_conformance.py tests/test_estimator.py tests/test_grids.py \
		tests/test_inspection.py tests/test_lines_render.py tests/test_lines_fitting.py

bench: install
	$(PY) benchmarks/bench_render.py
	$(PY) benchmarks/bench_clones.py
	$(PY) benchmarks/bench_emulator.py
	$(PY) benchmarks/bench_size.py
	$(PY) benchmarks/bench_grids.py

evaluate: install
	$(PY) benchmarks/evaluate.py

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info .*_cache .hypothesis .coverage* demo_output \
		bench_output docs/_build docs/generated docs/sg_execution_times.rst
