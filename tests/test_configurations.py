"""The two configurations: the paper's and ours."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from skphx import (
    FluxEmulator,
    LineManifoldRegressor,
    StellarParameterEstimator,
    VoigtCloner,
    make_stellar_estimator,
)
from skphx.datasets import make_stellar_grid
from skphx.observing import air_to_vacuum, vacuum_to_air
from skphx.paper import GaussianProcessSearch, PaperCloner, PaperEmulator

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
        "target_rms": None,
        "max_lines": None,
        "tolerance": 0,
        "min_distance": 4,
        "edge": 30.0,
    }
    assert isinstance(cloner, PaperCloner)
    assert expected.items() <= cloner.get_params().items()
    assert isinstance(emulator, PaperEmulator)
    assert emulator.interpolation == "linear"
    assert emulator.missing == "drop"
    assert emulator.flux is None
    assert isinstance(estimator.search, GaussianProcessSearch)
    assert (estimator.search.n_calls, estimator.search.n_initial_points) == (120, 100)


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
    emulator = estimator.emulator
    ours = emulator.get_params(deep=False)
    plain = LineManifoldRegressor(emulator.cloner).get_params(deep=False)
    assert ours == plain
    assert emulator.flux == "auto"
    ours = estimator.get_params(deep=False)
    plain = StellarParameterEstimator(emulator).get_params(deep=False)
    assert ours == plain
    assert estimator.search == "gauss-newton"


@pytest.mark.parametrize("configuration", ["default", "paper"])
def test_normalised_spectra_need_no_normalisers(configuration):
    emulator = make_stellar_estimator(WAVELENGTH, configuration, normalized=True).emulator
    assert type(emulator.cloner) is (PaperCloner if configuration == "paper" else VoigtCloner)
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
    assert cloner.verbose == 1
    paper = make_stellar_estimator(
        WAVELENGTH, "paper", random_state=7, memory="clones", n_jobs=2, verbose=1
    )
    cloner = paper.emulator.cloner[-1]
    assert paper.random_state == 7
    assert cloner.memory == "clones"
    assert paper.n_jobs == cloner.n_jobs == 2
    assert paper.search.verbose == cloner.verbose == 1


def test_unknown_configuration_is_named():
    with pytest.raises(ValueError, match=r"one of \['default', 'paper'\], got 'blase'"):
        make_stellar_estimator(WAVELENGTH, "blase")


def test_the_papers_chain_runs_end_to_end(wide_grid):
    # Fewer steps and calls than the paper's; every other setting is its own.
    estimator = make_stellar_estimator(WAVELENGTH, "paper", random_state=0).set_params(
        emulator__cloner__papercloner__n_epochs=10,
        search=GaussianProcessSearch(n_calls=22, n_initial_points=20),
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


# A grid in place of wavelengths


def small_grid(**parameters):
    """Lines of the same list, whatever the parameters."""
    if "parameters" not in parameters:
        parameters = {
            "teff": (5000, 5500, 6000),
            "logg": (4.0, 4.5),
            "feh": (-0.5, 0.0),
            **parameters,
        }
    settings = {"wavelength": (8500.0, 8530.0), "n_pixels": 600, "n_lines": 15, "random_state": 1}
    return make_stellar_grid(**settings, **parameters)


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("medium", ["air", "vacuum"])
def test_a_grid_says_its_wavelengths_medium_and_names(medium, lines):
    grid = small_grid(medium=medium)
    grid.parameter_names = ["teff", "logg", "metals"]
    emulator = make_stellar_estimator(grid, lines=lines).emulator
    assert emulator.medium == medium
    assert emulator.parameter_names == ("teff", "logg", "metals")
    assert emulator.holes == "error"
    normalizer = emulator.cloner[:-1] if lines else emulator.normalizer
    wavelengths = [normalizer[0].wavelength, normalizer[2].wavelength]
    wavelengths.append(emulator.cloner[-1].wavelength if lines else emulator.wavelength)
    for wavelength in wavelengths:
        np.testing.assert_array_equal(wavelength, grid.wavelength)
    # Names that are given go before, and a medium may be said twice.
    names = ("teff", "logg", "feh")
    emulator = make_stellar_estimator(
        grid, lines=lines, medium=medium, parameter_names=names
    ).emulator
    assert (emulator.medium, emulator.parameter_names) == (medium, names)
    # The paper's chain takes a grid as well.
    paper = make_stellar_estimator(grid, "paper").emulator
    assert (paper.medium, paper.parameter_names) == (medium, ("teff", "logg", "metals"))


def test_a_medium_other_than_the_grids_is_refused():
    grid = small_grid()
    with pytest.raises(ValueError, match="medium='air' but the grid's wavelengths are in vacuum"):
        make_stellar_estimator(grid, medium="air")
    for given in (grid, grid.wavelength):
        with pytest.raises(
            ValueError, match="medium must be 'air', 'vacuum' or None, got 'water'"
        ):
            make_stellar_estimator(given, medium="water")


def test_wavelengths_alone_leave_the_medium_open():
    assert make_stellar_estimator(WAVELENGTH).emulator.medium is None
    for lines in (True, False):
        emulator = make_stellar_estimator(WAVELENGTH, medium="air", lines=lines).emulator
        assert emulator.medium == "air"
        assert emulator.parameter_names == ("teff", "logg", "feh")


def test_missing_nodes_of_a_grid_are_interpolated_across():
    full = small_grid()
    keep = np.arange(len(full.parameters)) != 5
    grid = Bunch(**{**full, "spectra": full.spectra[keep], "parameters": full.parameters[keep]})
    with pytest.raises(ValueError, match="holes='interpolate'"):
        make_stellar_estimator(grid, lines=False).fit(grid.spectra, grid.parameters)
    grid.missing = full.parameters[~keep]
    estimator = make_stellar_estimator(grid, lines=False, random_state=0)
    estimator.fit(grid.spectra, grid.parameters)
    assert estimator.emulator_.predict(grid.missing).shape == (1, 600)
    assert make_stellar_estimator(grid).emulator.holes == "interpolate"


def test_without_lines_the_emulator_is_one_of_flux():
    grid = small_grid()
    estimator = make_stellar_estimator(grid, lines=False, random_state=3, n_jobs=2, verbose=1)
    assert isinstance(estimator.emulator, FluxEmulator)
    assert [type(step).__name__ for _, step in estimator.emulator.normalizer.steps] == [
        "BlackbodyDivider",
        "PercentileNormalizer",
        "ContinuumNormalizer",
    ]
    assert (estimator.random_state, estimator.n_jobs) == (3, 2)
    ours = estimator.emulator.get_params(deep=False)
    plain = FluxEmulator(medium="vacuum").get_params(deep=False)
    for name in ("wavelength", "normalizer"):
        ours.pop(name), plain.pop(name)
    assert ours == plain
    normalised = make_stellar_estimator(grid, lines=False, normalized=True).emulator
    assert normalised.normalizer is None
    with pytest.raises(ValueError, match="configuration='paper' sums lines, so lines=False"):
        make_stellar_estimator(grid, "paper", lines=False)


@pytest.mark.parametrize("medium", ["air", "vacuum"])
def test_a_star_in_the_other_medium_gives_the_same_parameters(medium):
    grid = small_grid(medium=medium)
    truth = np.array([[5300.0, 4.2, -0.2]])
    flux = small_grid(medium=medium, parameters=truth).spectra[0]
    estimator = make_stellar_estimator(grid, lines=False, random_state=0)
    estimator.fit(grid.spectra, grid.parameters)
    pixels = grid.wavelength[20:-20]
    star = {
        "wavelength": pixels,
        "flux": flux[20:-20],
        "sigma": flux.max() / 200,
        "medium": medium,
    }
    other = {"air": "vacuum", "vacuum": "air"}[medium]
    convert = air_to_vacuum if other == "vacuum" else vacuum_to_air
    moved = {**star, "wavelength": convert(pixels), "medium": other}
    settings = {"velocity": (-100.0, 100.0)}
    result, converted = (estimator.infer(each, **settings) for each in (star, moved))
    np.testing.assert_allclose(converted.parameters, result.parameters, rtol=1e-5, atol=1e-4)
    assert result.parameters[0] == pytest.approx(5300.0, abs=60.0)
    assert result.parameters[3] == pytest.approx(0.0, abs=0.3)
    # Said to be in the wrong medium, it is 80 km/s away.
    wrong = estimator.infer({**star, "medium": other}, **settings)
    assert abs(wrong.parameters[3]) == pytest.approx(82.0, abs=2.0)
    # On the model's own pixels predict says the same.
    found = estimator.predict(flux[None], sigma=flux.max() / 200)[0]
    np.testing.assert_allclose((found - result.parameters[:3]) / [500.0, 0.5, 0.5], 0.0, atol=0.1)
    # And without a medium of the emulator's, the message says where to say it.
    nameless = make_stellar_estimator(grid.wavelength, lines=False, random_state=0)
    nameless.fit(grid.spectra, grid.parameters)
    with pytest.raises(ValueError, match=r"emulator's medium is unknown.*emulator__medium"):
        nameless.infer(star)
    with pytest.raises(ValueError, match="does not say whether its wavelengths are in air or"):
        estimator.infer({**star, "medium": None})


def test_mappings_of_any_kind_are_grids_and_what_they_lack_is_named():
    known = {"wavelength": WAVELENGTH, "medium": None, "missing": None}
    estimator = make_stellar_estimator(known, lines=False, medium="air")
    assert estimator.emulator.medium == "air"
    assert estimator.emulator.parameter_names == ("teff", "logg", "feh")
    with pytest.raises(ValueError, match=r"grid must be a Bunch with wavelength.*'flux'"):
        make_stellar_estimator({"flux": WAVELENGTH})
    named = make_stellar_estimator(
        pd.Series(WAVELENGTH), lines=False, parameter_names=np.array(["teff", "logg"])
    )
    assert named.emulator.parameter_names == ("teff", "logg")
