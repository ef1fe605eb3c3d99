"""Fixtures for all tests: shared spectra, thread limits, small generated grids."""

from pathlib import Path

import numba
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch

from skphx import LineManifoldRegressor, VoigtCloner
from skphx.datasets import make_stellar_grid

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure(config):
    # Tests sum few lines: waking a second thread takes longer than all its sums.
    torch.set_num_threads(1)
    numba.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data():
    """Folder of the shared spectra; skips the test where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the shared spectra, and {SHARED_DATA} does not exist")
    return SHARED_DATA


def make_small_grid(**parameters):
    """Generated spectra of one list of nine lines, raw and with their continuum of 1."""
    grid = make_stellar_grid(
        wavelength=(8500.0, 8520.0),
        n_pixels=400,
        n_lines=9,
        random_state=3,
        return_lines=True,
        **parameters,
    )
    grid.normalised = grid.spectra / grid.continuum
    return grid


@pytest.fixture(scope="session")
def grid():
    """Twelve nodes; the spectra are read-only, because all tests share them."""
    grid = make_small_grid(teff=(5000, 5500, 6000), logg=(4.0, 4.5), feh=(-0.5, 0.0))
    for name in ("spectra", "normalised", "parameters", "wavelength"):
        grid[name].flags.writeable = False
    return grid


@pytest.fixture(scope="session")
def fitted_emulator(grid):
    """Emulator of `grid`."""
    cloner = VoigtCloner(wavelength=grid.wavelength, max_iter=20)
    return LineManifoldRegressor(cloner).fit(grid.parameters, grid.normalised)


@pytest.fixture
def no_fits(monkeypatch):
    """Call it, and from then on every fit of lines fails with the words "lines were fitted"."""

    def fail(*_, **__):
        raise AssertionError("lines were fitted")

    def forbid():
        for fit in (
            "skphx.lines._fitting.fit_levenberg_marquardt",
            "skphx.lines._running.fit_window",
            "skphx.paper._cloner.fit_adam",
        ):
            monkeypatch.setattr(fit, fail)

    return forbid


@pytest.fixture(scope="session")
def emulator(fitted_emulator):
    """The same, frozen: an estimator that holds it does not fit it again."""
    return FrozenEstimator(fitted_emulator)


@pytest.fixture(scope="session")
def held_out(grid):
    """Two spectra between the nodes of `grid`, and those nodes."""
    between = make_small_grid(parameters=[[5200, 4.2, -0.2], [5800, 4.4, -0.4]])
    return Bunch(
        spectra=between.normalised,
        raw=between.spectra,
        parameters=between.parameters,
        nodes=grid.normalised,
        node_parameters=grid.parameters,
    )
