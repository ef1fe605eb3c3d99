"""The two configurations: the paper's and ours."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skphx import VoigtCloner, make_stellar_estimator
from skphx.datasets import make_stellar_grid

WAVELENGTH = np.linspace(8400.0, 8480.0, 1600)


@pytest.fixture(scope="module")
def wide_grid():
    """Long enough that the paper's 30 Å at either end leave something between."""
    return make_stellar_grid(
        teff=(5000, 5500, 6000),
        logg=(4.0, 4.5),
        feh=(-0.5, 0.0),
        wavelength=WAVELENGTH,
        n_lines=40,
        random_state=0,
    )


def test_the_papers_settings():
    estimator = make_stellar_estimator(WAVELENGTH, "paper")
    emulator = estimator.emulator
    divider, percentile, continuum, cloner = (step for _, step in emulator.cloner.steps)
    np.testing.assert_array_equal(divider.wavelength, WAVELENGTH)
    assert percentile.percentile == 99
    assert (continuum.degree, continuum.anchors, continuum.n_iterations) == (5, "peaks", 0)
    expected = {
        "prominence": 0.005,
        "wing_cut": 6000,
        "optimizer": "adam",
        "n_epochs": 100,
        "learning_rate": 0.05,
        "profile": "pseudo-voigt",
        "transmission": "product",
        "line_list": "detected",
        "target_rms": None,
        "tolerance": 0,
        "min_distance": 4,
        "edge": 30.0,
    }
    assert expected.items() <= cloner.get_params().items()
    assert emulator.interpolation == "linear"
    assert emulator.missing == "drop"
    assert emulator.residual is False
    assert (estimator.n_calls, estimator.n_initial_points, estimator.refine) == (120, 100, False)


def test_the_papers_continuum_spaces_its_peaks_as_the_published_code(wide_grid):
    estimator = make_stellar_estimator(WAVELENGTH, "paper")
    continuum = clone(estimator.emulator.cloner[2]).fit(wide_grid.spectra)
    assert continuum.distance_ == round(1600 * 5001 / 338_651)


def test_the_default_is_what_the_classes_default_to():
    estimator = make_stellar_estimator(WAVELENGTH)
    cloner = estimator.emulator.cloner[-1]
    ours = cloner.get_params()
    ours.pop("wavelength")
    plain = VoigtCloner().get_params()
    plain.pop("wavelength")
    assert ours == plain
    assert estimator.refine
    assert estimator.emulator.residual
    assert estimator.emulator.missing == "fade"


@pytest.mark.parametrize("configuration", ["default", "paper"])
def test_normalised_spectra_need_no_normalisers(configuration):
    emulator = make_stellar_estimator(WAVELENGTH, configuration, normalized=True).emulator
    assert isinstance(emulator.cloner, VoigtCloner)
    raw = make_stellar_estimator(WAVELENGTH, configuration).emulator
    assert isinstance(raw.cloner, Pipeline)
    assert raw.cloner[-1].get_params().keys() == emulator.cloner.get_params().keys()


def test_arguments_reach_their_places():
    estimator = make_stellar_estimator(
        WAVELENGTH,
        parameter_names=("teff", "logg", "feh", "alpha"),
        random_state=7,
        memory="clones",
        n_jobs=2,
        verbose=1,
    )
    cloner = estimator.emulator.cloner[-1]
    assert estimator.emulator.parameter_names == ("teff", "logg", "feh", "alpha")
    assert estimator.random_state == 7
    assert cloner.memory == "clones"
    assert estimator.n_jobs == cloner.n_jobs == 2
    assert estimator.verbose == cloner.verbose == 1


def test_unknown_configuration_is_named():
    with pytest.raises(ValueError, match=r"one of \['default', 'paper'\], got 'blase'"):
        make_stellar_estimator(WAVELENGTH, "blase")


def test_the_papers_chain_runs_end_to_end(wide_grid):
    # Fewer steps and calls than the paper's; every other setting is its own.
    estimator = make_stellar_estimator(WAVELENGTH, "paper", random_state=0).set_params(
        emulator__cloner__voigtcloner__n_epochs=10, n_calls=22, n_initial_points=20
    )
    estimator.fit(wide_grid.spectra, wide_grid.parameters)
    cloner = estimator.emulator_.cloner_[-1]
    assert cloner.n_lines_ > 0
    # Nothing within 30 Å of the ends.
    assert cloner.line_centers_.min() >= WAVELENGTH[0] + 30
    assert cloner.line_centers_.max() <= WAVELENGTH[-1] - 30
    assert not estimator.emulator_.present_.all()
    found = estimator.predict(wide_grid.spectra[:2])
    low, high = wide_grid.parameters.min(axis=0), wide_grid.parameters.max(axis=0)
    assert ((found >= low) & (found <= high)).all()
