"""Grids cloned on a Dask cluster: the same lines as in one process."""

import warnings

import joblib
import numpy as np
import pytest
from detected import detected_cloner

from skphx import LineManifoldRegressor, VoigtCloner
from skphx.datasets import make_stellar_grid
from skphx.lines import LineArchive
from skphx.lines._running import run_units

pytestmark = pytest.mark.slow

distributed = pytest.importorskip(
    "distributed", reason="needs dask and distributed: pip install 'skphx[dask]'"
)


@pytest.fixture(scope="module")
def client():
    """Client of two worker processes on this machine."""
    with warnings.catch_warnings():
        # Of its own start and end: ports in use, sockets left to the garbage collector.
        warnings.simplefilter("ignore")
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client


@pytest.fixture(scope="module")
def grid():
    grid = make_stellar_grid(
        teff=(5000, 5500, 6000),
        logg=(4.0, 4.5),
        feh=(0.0,),
        wavelength=(8500.0, 8520.0),
        n_pixels=400,
        n_lines=9,
        random_state=3,
        return_lines=True,
    )
    grid.normalised = grid.spectra / grid.continuum
    return grid


def worker_of(number):
    """A unit of work that tells where it ran."""
    return {"worker": distributed.get_worker().address, "number": number}


def test_units_run_on_both_workers(client):
    with joblib.parallel_config(backend="dask"):
        results = run_units(worker_of, [(number,) for number in range(20)])
    assert [result["number"] for result in results] == list(range(20))
    assert {result["worker"] for result in results} == set(client.scheduler_info()["workers"])


def grown(wavelength, **settings):
    return VoigtCloner(wavelength, n_seeds=3, max_iter=10, **settings)


def detected(wavelength, **settings):
    return detected_cloner(wavelength, n_epochs=10, **settings)


@pytest.mark.parametrize("make", [grown, detected])
def test_lines_are_those_of_one_process(client, grid, make, tmp_path):
    alone = make(grid.wavelength).fit_transform(grid.normalised)
    cloner = make(grid.wavelength, archive=tmp_path / "grid")
    with joblib.parallel_config(backend="dask"):
        spread = cloner.fit_transform(grid.normalised)
    np.testing.assert_array_equal(spread, alone)
    # The archive is written here, not by the workers, which may have no disk in common.
    archive = LineArchive(tmp_path / "grid")
    assert archive.done.all()
    np.testing.assert_array_equal(archive.table().to_dense(cloner.n_lines_).reshape(6, -1), spread)


def test_emulator_is_that_of_one_process(client, grid):
    emulator = LineManifoldRegressor(grown(grid.wavelength), n_passes=2)
    alone = emulator.fit(grid.parameters, grid.normalised).lines_
    with joblib.parallel_config(backend="dask"):
        spread = emulator.fit(grid.parameters, grid.normalised).lines_
    np.testing.assert_array_equal(spread, alone)


def test_errors_come_back_from_the_workers(client, grid):
    # Steps so large that no line survives them.
    cloner = detected(grid.wavelength, optimizer="adam", learning_rate=1e300)
    with (
        joblib.parallel_config(backend="dask"),
        pytest.raises(
            RuntimeError, match=r"lines ended with parameters .*learning_rate"
        ) as caught,
    ):
        cloner.fit(grid.normalised)
    assert "in spectrum" in caught.value.__notes__[0]
