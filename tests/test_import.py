"""What importing the package loads, and what it offers."""

import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest

import skphx
from skphx import StellarParameterEstimator

HEAVY = ("torch", "numba", "skopt", "matplotlib", "pandas", "astropy")


def loaded_after(code):
    """Heavy modules that a new interpreter holds after `code`."""
    code += f"\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_import_is_light():
    assert loaded_after("import skphx") == []


def test_the_estimators_classes_load_no_heavy_module():
    # pandas is left out: scikit-learn itself loads it where it is installed.
    names = [name for name in skphx.__all__ if name[0].isupper()]
    code = f"import skphx\nfor name in {names!r}: getattr(skphx, name)"
    assert not {"torch", "numba", "skopt", "matplotlib"} & set(loaded_after(code))


def test_the_probe_sees_a_heavy_module():
    assert "numba" in loaded_after("import numba")


@pytest.mark.parametrize(
    "module",
    ["skphx", "skphx.lines", "skphx.grids", "skphx.inference", "skphx.datasets", "skphx.metrics"],
)
def test_every_public_name_resolves(module):
    module = import_module(module)
    for name in getattr(module, "__all__", []):
        assert getattr(module, name) is not None
        assert name in dir(module)


def test_an_unknown_name_is_named():
    with pytest.raises(AttributeError, match="module 'skphx' has no attribute 'Blaze'"):
        skphx.Blaze  # noqa: B018
    with pytest.raises(AttributeError, match=r"module 'skphx\.lines' has no attribute 'Blaze'"):
        skphx.lines.Blaze  # noqa: B018


def test_version_is_that_of_the_installed_package():
    from importlib.metadata import version

    assert skphx.__version__ == version("skphx")


def test_without_scikit_optimize_the_refinement_goes_on(emulator, held_out, monkeypatch):
    estimator = StellarParameterEstimator(
        emulator, n_calls=12, n_initial_points=10, random_state=0
    ).fit(held_out.nodes, held_out.node_parameters)
    monkeypatch.setitem(sys.modules, "skopt", None)
    with pytest.warns(RuntimeWarning, match=r"ImportError|ModuleNotFoundError.*n_calls=n_initial"):
        found = estimator.predict(held_out.spectra)
    # The same answer as when no guided evaluations are asked for.
    without = estimator.set_params(n_calls=10).predict(held_out.spectra)
    np.testing.assert_array_equal(found, without)
    estimator.set_params(n_calls=12, refine=False)
    with pytest.raises(ImportError, match="skopt"):
        estimator.predict(held_out.spectra)
