# Two commands on a fresh machine: `make demo` and `make test`.
# Each makes .venv, installs, and runs. `make check` is for daily work.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# The paper's configuration, GPUs and their tests need torch: exactly this build, which is for
# CPUs; others pull gigabytes.
TORCH := torch==2.13.0
# Two threads: on small machines more threads than cores make everything slower.
export OMP_NUM_THREADS ?= 2

# Test files run so many at once; each on one thread.
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest --numprocesses $(or $(WORKERS),2) --dist loadfile

.PHONY: help install demo check test coverage lint docs package minimum bench evaluate fuzz clean

help:
	@echo "make demo      install, run the example on the embedded grid, save its figure"
	@echo "make check     lint, and the tests that are quick: for daily work"
	@echo "make test      install, lint, run all tests and doctests"
	@echo "make coverage  the same tests, and which lines and branches none of them reaches"
	@echo "make lint      check style, format and types"
	@echo "make docs      build the documentation into docs/_build/html; a warning is an error"
	@echo "make package   build sdist and wheel, install the wheel into an empty environment, try it"
	@echo "make minimum   test with the oldest versions of what skphx needs"
	@echo "make bench     measure on the real spectra beside the checkout (../shared/data)"
	@echo "make evaluate  how accurate, calibrated and fast inference is, on the same spectra"
	@echo "make fuzz      10,000 odd and damaged inputs: wrong answers and bare tracebacks, by format"
	@echo "make clean     remove the environments and everything generated"

# Stamps are written last, so that an install that broke off, or a .venv made by other means, is
# installed into again. The demo needs no torch.
$(VENV)/demo: pyproject.toml
	@echo "Installing into $(VENV): some minutes the first time."
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	$(PY) -m pip install --quiet --editable '.[plot]'
	@touch $@

$(VENV)/installed: $(VENV)/demo
	$(PY) -m pip install --quiet $(TORCH)
	$(PY) -m pip install --quiet $(TORCH) --editable '.[docs,plot,test]'
	@touch $@

install: $(VENV)/installed

demo: $(VENV)/demo
	$(PY) examples/plot_demo.py

lint: install
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

check: lint
	$(PYTEST) -m 'not slow' tests

test: lint
	$(PYTEST) $(PYTEST_OPTIONS)

coverage:
	$(MAKE) test PYTEST_OPTIONS='--cov --cov-report=term'

# Pages of modules that moved would stay behind.
docs: install
	rm -rf docs/generated
	$(PY) -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo "open docs/_build/html/index.html"

# The examples run outside the checkout, so that it is the wheel that is imported, and without the
# extras of torch and the paper.
package: install
	rm -rf dist .venv-package
	$(PY) -m build --outdir dist
	$(PYTHON) -m venv .venv-package
	.venv-package/bin/python -m pip install --quiet "$$(ls dist/*.whl)[plot]"
	! .venv-package/bin/python -c 'import torch' 2> dist/no_torch.txt
	cd dist && MPLBACKEND=agg ../.venv-package/bin/python ../examples/plot_inference.py
	cd dist && MPLBACKEND=agg ../.venv-package/bin/python ../examples/plot_emulator_quality.py
	.venv-package/bin/skphx --help > dist/help.txt
	rm -rf .venv-package dist/help.txt dist/no_torch.txt

# Old versions warn about what newer ones changed: here warnings are no errors.
minimum:
	$(PYTHON) -m venv .venv-minimum
	.venv-minimum/bin/python -m pip install --quiet $(TORCH)
	.venv-minimum/bin/python -m pip install --quiet $(TORCH) \
		--constraint constraints-minimum.txt --editable '.[plot,test]'
	$(subst $(PY),.venv-minimum/bin/python,$(PYTEST)) --override-ini filterwarnings=default \
		tests/test_common.py tests/test_conformance.py tests/test_estimator.py tests/test_interpolation.py \
		tests/test_inspection.py tests/test_lines_render.py tests/test_lines_fitting.py

bench: install
	$(PY) benchmarks/bench_render.py
	$(PY) benchmarks/bench_line_fits.py
	$(PY) benchmarks/bench_emulator.py
	$(PY) benchmarks/bench_size.py
	$(PY) benchmarks/bench_grids.py

evaluate: install
	$(PY) benchmarks/evaluate.py
	$(PY) benchmarks/bench_calibration.py
	$(PY) benchmarks/bench_abundances.py

fuzz: install
	OMP_NUM_THREADS=1 $(PY) benchmarks/fuzz.py $(FUZZ_OPTIONS)

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info .*_cache .hypothesis .coverage* demo_output \
		bench_output docs/_build docs/generated docs/sg_execution_times.rst
