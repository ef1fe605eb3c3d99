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
    [
        "skphx",
        "skphx.datasets",
        "skphx.flux",
        "skphx.grids",
        "skphx.inference",
        "skphx.lines",
        "skphx.metrics",
        "skphx.observing",
    ],
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


def test_the_default_search_loads_no_scikit_optimize():
    code = """
from skphx import FluxEmulator, StellarParameterEstimator
from skphx.datasets import make_stellar_grid
grid = make_stellar_grid(teff=(5000, 6000), logg=(4.0, 5.0), feh=(0.0,), n_pixels=200,
                         n_lines=5, return_lines=True)
spectra = grid.spectra / grid.continuum
estimator = StellarParameterEstimator(FluxEmulator(grid.wavelength), n_initial_points=5)
estimator.fit(spectra, grid.parameters).predict(spectra[:1])
estimator.infer({"wavelength": grid.wavelength, "flux": spectra[0]})
"""
    assert not {"skopt", "torch", "matplotlib"} & set(loaded_after(code))
    # The paper's does.
    guided = code.replace(
        "n_initial_points=5", "n_initial_points=5, n_calls=6, search='gp_minimize'"
    )
    assert "skopt" in loaded_after(guided)


def test_without_scikit_optimize_only_the_papers_search_fails(emulator, held_out, monkeypatch):
    estimator = StellarParameterEstimator(
        emulator, n_calls=12, n_initial_points=10, random_state=0
    ).fit(held_out.nodes, held_out.node_parameters)
    found = estimator.predict(held_out.spectra)
    monkeypatch.setitem(sys.modules, "skopt", None)
    np.testing.assert_array_equal(estimator.predict(held_out.spectra), found)
    estimator.set_params(search="gp_minimize")
    with pytest.raises(ImportError, match="skopt"):
        estimator.predict(held_out.spectra)
    # Random points alone need none of it.
    assert estimator.set_params(n_calls=10).predict(held_out.spectra).shape == (2, 3)
