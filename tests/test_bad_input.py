"""Bad input is refused by name, and a refused call leaves what was fitted usable."""

import re

import numpy as np
import pytest
from astropy import units
from detected import detected_cloner
from sklearn import config_context
from sklearn.pipeline import make_pipeline

from skphx import (
    BlackbodyDivider,
    ContinuumNormalizer,
    LineManifoldRegressor,
    PercentileNormalizer,
    StellarParameterEstimator,
    VoigtCloner,
)
from skphx.paper import GaussianProcessSearch, PaperCloner, PaperEmulator

NAN, INF = np.nan, np.inf


def parts(*pieces):
    """Pattern of a message that holds the pieces in this order."""
    return re.compile(".*".join(re.escape(piece) for piece in pieces), re.DOTALL)


@pytest.fixture(scope="module")
def spectra(grid):
    return np.array(grid.normalised[:4])


def quick_cloner(wavelength, **settings):
    settings = {"target_rms": None, "max_iter": 3, "n_seeds": 2, **settings}
    return VoigtCloner(wavelength, **settings)


def papers_cloner(wavelength, **settings):
    return detected_cloner(wavelength, target_rms=None, n_epochs=3, **settings)


@pytest.fixture(scope="module")
def raw_emulator(grid):
    cloner = make_pipeline(
        BlackbodyDivider(grid.wavelength),
        PercentileNormalizer(),
        ContinuumNormalizer(grid.wavelength, degree=1),
        quick_cloner(grid.wavelength),
    )
    return LineManifoldRegressor(cloner, smoothness=0).fit(grid.parameters, grid.spectra)


@pytest.fixture(params=["gauss-newton", GaussianProcessSearch(3, 3)], ids=["ours", "paper's"])
def estimator(request, emulator, grid):
    return StellarParameterEstimator(
        emulator, search=request.param, n_initial_points=3, random_state=0
    ).fit(grid.normalised, grid.parameters)


def refused(call, message, unharmed=None, error=ValueError):
    """`call` raises, and `unharmed` returns what it returned before."""
    before = unharmed() if unharmed else None
    with pytest.raises(error, match=message):
        call()
    if unharmed:
        np.testing.assert_array_equal(unharmed(), before)


@pytest.fixture(params=["divider", "percentile", "continuum", "cloner", "paper's cloner"])
def transformer(request, grid):
    """A fitted transformer."""
    wavelength = grid.wavelength
    made = {
        "divider": lambda: BlackbodyDivider(wavelength, teff=5500.0),
        "percentile": PercentileNormalizer,
        "continuum": lambda: ContinuumNormalizer(wavelength, degree=1),
        "cloner": lambda: quick_cloner(wavelength),
        "paper's cloner": lambda: papers_cloner(wavelength),
    }
    return made[request.param]().fit(grid.normalised[:4])


class TestFlux:
    @pytest.mark.parametrize(("value", "name"), [(NAN, "NaN"), (INF, "infinity")])
    def test_not_finite_for_a_transformer(self, transformer, spectra, value, name):
        bad = spectra.copy()
        bad[2, 7] = value

        def unharmed():
            return transformer.transform(spectra)

        message = parts("X contains", name, "1 of the 400", "spectrum 2", "pixel 7", "Leave")
        refused(lambda: transformer.transform(bad), message, unharmed)
        refused(lambda: transformer.fit(bad), message, unharmed)
        refused(lambda: transformer.fit_transform(bad), message, unharmed)

    @pytest.mark.parametrize("value", [NAN, INF])
    def test_not_finite_for_the_emulator(self, grid, held_out, value):
        emulator = LineManifoldRegressor(quick_cloner(grid.wavelength), smoothness=0)
        emulator.fit(grid.parameters, grid.normalised)
        bad = np.array(grid.normalised)
        bad[2, 7] = value

        def unharmed():
            return emulator.predict(held_out.parameters)

        refused(lambda: emulator.fit(grid.parameters, bad), "contains", unharmed)
        refused(lambda: emulator.score(grid.parameters, bad), "contains", unharmed)

    @pytest.mark.parametrize("value", [NAN, INF])
    def test_not_finite_for_the_estimator(self, estimator, grid, held_out, value):
        bad = np.array(grid.normalised)
        bad[2, 7] = value

        def unharmed():
            return estimator.predict(held_out.spectra)

        refused(lambda: estimator.fit(bad, grid.parameters), "X contains", unharmed)
        refused(lambda: estimator.predict(bad), "X contains", unharmed)

    def test_zero_everywhere(self, transformer, spectra):
        dark = spectra.copy()
        dark[2] = 0.0
        if isinstance(transformer, BlackbodyDivider):
            # Zero over a blackbody is zero: the next step tells.
            np.testing.assert_array_equal(transformer.transform(dark)[2], 0.0)
            return
        message = parts("X must hold", "spectrum 2")

        def unharmed():
            return transformer.transform(spectra)

        refused(lambda: transformer.transform(dark), message, unharmed)
        refused(lambda: transformer.fit(dark), message, unharmed)

    def test_negative(self, transformer, spectra):
        negative = spectra.copy()
        negative[1] *= -1.0
        message = parts("spectrum 1")

        def unharmed():
            return transformer.transform(spectra)

        refused(lambda: transformer.transform(negative), message, unharmed)
        refused(lambda: transformer.fit(negative), message, unharmed)

    def test_zero_everywhere_in_the_whole_chain(self, raw_emulator, grid, held_out):
        dark = np.array(grid.spectra)
        dark[5] = 0.0

        def unharmed():
            return raw_emulator.predict(held_out.parameters)

        message = parts("spectrum 5 is zero at every pixel", "remove it")
        refused(lambda: raw_emulator.fit(grid.parameters, dark), message, unharmed)
        refused(lambda: raw_emulator.score(grid.parameters, dark), message, unharmed)

    def test_continuum_that_falls_below_zero(self, grid):
        spectra = np.ones((2, 400))
        spectra[1] = np.exp(-np.arange(400) / 20.0)
        normalizer = ContinuumNormalizer(grid.wavelength, degree=1, n_iterations=0)
        normalizer.fit(spectra[:1])
        refused(
            lambda: normalizer.fit(spectra),
            parts("continuum of spectrum 1 is not positive", "Å", "Lower degree (now 1)"),
            lambda: normalizer.transform(spectra[:1]),
        )

    def test_without_any_line_it_works(self, grid, held_out):
        flat = np.ones((1, 400))
        cloner = VoigtCloner(grid.wavelength, max_iter=20, target_rms=None)
        cloner.fit(grid.normalised)
        flux = cloner.inverse_transform(cloner.transform(flat))
        # Lines of the list that are not there have faded, up to what holds them where they are.
        np.testing.assert_allclose(flux, 1.0, atol=0.01)
        detected = papers_cloner(grid.wavelength).fit(np.vstack([grid.normalised, flat]))
        lines = detected.transform(flat)
        assert np.isnan(lines).all()
        np.testing.assert_array_equal(detected.inverse_transform(lines), flat)

    def test_other_pixels_than_fit(self, transformer, estimator, spectra):
        name = type(transformer).__name__
        message = f"X has 399 features, but {name} is expecting 400 features"
        refused(
            lambda: transformer.transform(spectra[:, 1:]),
            message,
            lambda: transformer.transform(spectra),
        )
        refused(
            lambda: estimator.predict(spectra[:, 1:]),
            "X has 399 features, but StellarParameterEstimator is expecting 400",
            lambda: estimator.predict(spectra),
        )

    def test_masked(self, transformer, spectra):
        masked = np.ma.masked_less(spectra, 0.9)
        refused(
            lambda: transformer.transform(masked),
            parts("X must hold flux at every pixel", "are masked", "interpolate"),
            lambda: transformer.transform(spectra),
        )
        # A mask that hides nothing does no harm.
        np.testing.assert_array_equal(
            transformer.transform(np.ma.array(spectra)), transformer.transform(spectra)
        )

    def test_no_spectrum_or_one_dimension(self, transformer, spectra):
        refused(lambda: transformer.transform(spectra[:0]), "0 sample")
        refused(lambda: transformer.transform(spectra[0]), "Expected 2D array, got 1D")


WAVELENGTHS = [
    (
        "wrong length",
        lambda w: w[:-1],
        parts("wavelength has 399", "400 pixels", "pass one wavelength"),
    ),
    ("reversed", lambda w: w[::-1], parts("wavelength must be strictly increasing", "sort")),
    (
        "repeated",
        lambda w: np.maximum(w, w[1]),
        parts("strictly increasing", "element 1", "merge"),
    ),
    ("NaN", lambda w: np.r_[w[:-1], NAN], parts("wavelength must be finite", "399 is nan")),
    ("negative", lambda w: w - 1e4, parts("wavelength must be positive", "Å")),
    (
        "unit",
        lambda w: w * units.K,
        parts("wavelength must have a unit of length", "K", "Angstrom"),
    ),
    ("2D", lambda w: w[None], parts("wavelength must be a one-dimensional", "(1, 400)")),
    ("text", lambda w: w.astype(str), parts("wavelength must be", "numbers in Å", "dtype")),
    ("range", lambda w: (w[-1], w[0]), parts("wavelength=(start, stop) needs start < stop")),
]


@pytest.mark.parametrize(
    ("change", "message"),
    [case[1:] for case in WAVELENGTHS],
    ids=[case[0] for case in WAVELENGTHS],
)
def test_wavelength(transformer, grid, spectra, change, message):
    if isinstance(transformer, PercentileNormalizer):
        assert not hasattr(transformer, "wavelength")
        return
    good = transformer.transform(spectra)
    transformer.set_params(wavelength=change(np.array(grid.wavelength)))
    with pytest.raises(ValueError, match=message):
        transformer.fit(spectra)
    # What was fitted before is still there.
    np.testing.assert_array_equal(transformer.transform(spectra), good)


@pytest.mark.parametrize("transformer", ["divider", "continuum", "cloner"], indirect=True)
def test_wavelength_of_other_spectra_leaves_the_fit_alone(transformer, spectra):
    refused(
        lambda: transformer.fit(spectra[:, :300]),
        parts("wavelength has 400 elements but the spectra have 300 pixels"),
        lambda: transformer.transform(spectra),
    )


class TestTeff:
    @pytest.mark.parametrize(
        ("teff", "message"),
        [
            (0.0, parts("teff must be positive and finite, in K", "is 0.0", "give")),
            (-5000.0, parts("teff must be positive", "-5000")),
            (NAN, parts("teff must be positive and finite", "nan")),
            ([5000.0, 5100.0], parts("teff", "shape (4,)", "got shape (2,)")),
            ([5000.0, 5100.0, -1.0, 5300.0], parts("teff must be positive", "element 2 is -1")),
        ],
    )
    def test_is_not_positive_or_not_one_a_spectrum(self, grid, spectra, teff, message):
        divider = BlackbodyDivider(grid.wavelength).fit(spectra, teff=5500.0)

        def unharmed():
            return divider.transform(spectra, teff=5500.0)

        refused(lambda: divider.fit(spectra, teff=teff), message, unharmed)
        refused(lambda: divider.transform(spectra, teff=teff), message, unharmed)
        refused(lambda: divider.inverse_transform(spectra, teff=teff), message, unharmed)

    def test_is_missing(self, grid, spectra):
        refused(
            lambda: BlackbodyDivider(grid.wavelength).fit(spectra),
            parts("BlackbodyDivider needs teff, in K", "got None", "pass fit(X, teff=...)"),
        )

    def test_is_missing_in_a_pipeline(self, grid, raw_emulator):
        with config_context(enable_metadata_routing=True):
            refused(
                lambda: raw_emulator.cloner_.transform(grid.spectra),
                parts("fitted with teff", "transform needs it", "enable_metadata_routing=True"),
                lambda: raw_emulator.predict(grid.parameters[:1]),
            )

    def test_is_no_parameter_of_the_grid(self, grid, raw_emulator):
        nameless = LineManifoldRegressor(raw_emulator.cloner, parameter_names=None)
        refused(
            lambda: nameless.fit(grid.parameters, grid.spectra),
            parts("BlackbodyDivider needs teff", "got None"),
        )

    def test_of_a_node_is_not_positive(self, grid, raw_emulator, held_out):
        parameters = grid.parameters - [5000.0, 0.0, 0.0]
        refused(
            lambda: raw_emulator.fit(parameters, grid.spectra),
            parts("teff must be positive", "is 0.0"),
            lambda: raw_emulator.predict(held_out.parameters),
        )


@pytest.fixture(scope="module")
def own(grid):
    """An emulator that tests may fit again."""
    return LineManifoldRegressor(quick_cloner(grid.wavelength), smoothness=0).fit(
        grid.parameters, grid.normalised
    )


class TestParameters:
    @pytest.fixture
    def unharmed(self, own, held_out):
        return lambda: np.hstack(
            [own.predict(held_out.parameters), own.predict_lines(held_out.parameters)]
        )

    @pytest.mark.parametrize("method", ["predict", "predict_lines"])
    def test_outside_the_grid(self, own, unharmed, method):
        points = [[5500.0, 4.2, 0.0], [6200.0, 4.2, 0.0]]
        message = parts("row 1 has teff=6200, outside [5000, 6000]", "correct", "'clip'")
        refused(lambda: getattr(own, method)(points), message, unharmed)

    def test_of_wrong_number_or_not_finite(self, own, unharmed):
        refused(lambda: own.predict([[5500.0, 4.2]]), "X has 2 features, but Line", unharmed)
        refused(lambda: own.predict([[5500.0, NAN, 0.0]]), "X contains NaN", unharmed)

    def test_of_duplicate_nodes(self, own, grid, unharmed):
        parameters = np.array(grid.parameters)
        parameters[3] = parameters[2]
        message = parts("each node once", "teff=5000, logg=4.5, feh=-0.5 in rows 2, 3", "keep one")
        refused(lambda: own.fit(parameters, grid.normalised), message, unharmed)

    def test_of_missing_nodes(self, own, grid, unharmed):
        message = parts("full product of 3 x 2 x 2", "1 of 12", "teff=5000", "holes='interpolate'")
        refused(lambda: own.fit(grid.parameters[1:], grid.normalised[1:]), message, unharmed)

    def test_of_nodes_that_are_not_finite(self, own, grid, unharmed):
        parameters = np.array(grid.parameters)
        parameters[3, 1] = NAN
        refused(lambda: own.fit(parameters, grid.normalised), "contains NaN", unharmed)

    def test_of_another_number_than_spectra_or_names(self, own, grid, unharmed):
        refused(
            lambda: own.fit(grid.parameters, grid.normalised[1:]),
            parts("inconsistent numbers of samples", "12, 11"),
            unharmed,
        )
        refused(
            lambda: own.fit(grid.parameters[:, :2], grid.normalised),
            parts("parameters has 2 columns but parameter_names has 3", "give one name"),
            unharmed,
        )

    def test_of_one_dimension(self, own, grid, unharmed):
        refused(
            lambda: own.fit(grid.parameters, grid.normalised[:, 0]),
            parts("y must hold one spectrum in each row", "got shape (12,)", "reshape"),
            unharmed,
        )

    def test_when_the_cloner_refuses_the_spectra(self, own, grid, unharmed):
        refused(
            lambda: own.fit(grid.parameters, grid.normalised[:, :300]),
            parts("wavelength has 400 elements but the spectra have 300"),
            unharmed,
        )

    def test_of_fewer_nodes_than_the_interpolation_needs(self, own, grid):
        message = parts("needs at least 4 values of one", "3 of teff, 2 of")
        with pytest.raises(ValueError, match=message):
            LineManifoldRegressor(own.cloner, "cubic").fit(grid.parameters, grid.normalised)


class TestEstimator:
    @pytest.fixture
    def unharmed(self, estimator, held_out):
        return lambda: estimator.predict(held_out.spectra)

    def test_bounds(self, estimator, held_out, unharmed):
        cases = [
            ([[7000, 8000], [NAN, NAN], [NAN, NAN]], parts("bounds", "teff", "outside the grid")),
            ([[5500, 5400], [NAN, NAN], [NAN, NAN]], parts("lower bound above its upper")),
            ([[5500, 5600]], parts("bounds must have shape (3, 2)", "teff, logg, feh", "(1, 2)")),
        ]
        for bounds, message in cases:
            refused(
                lambda bounds=bounds: estimator.predict(held_out.spectra, bounds=bounds),
                message,
                unharmed,
            )

    def test_refits(self, estimator, grid, unharmed):
        refused(
            lambda: estimator.fit(grid.normalised, grid.parameters[:-1]),
            "inconsistent numbers of samples",
            unharmed,
        )
        refused(
            lambda: estimator.fit(grid.normalised[:, :300], grid.parameters),
            parts("X must have the 400 pixels of the fitted emulator, got 300", "resample"),
            unharmed,
        )
        refused(
            lambda: estimator.set_params(search=GaussianProcessSearch(2, 3)).fit(
                grid.normalised, grid.parameters
            ),
            "n_calls == 2, must be >= 3",
        )
        refused(
            lambda: estimator.set_params(search__n_calls=3, bounds=[[0, 1]] * 3).fit(
                grid.normalised, grid.parameters
            ),
            "outside the grid",
        )
        estimator.set_params(bounds=None)
        assert np.isfinite(unharmed()).all()

    def test_before_fit(self, emulator, spectra, grid):
        from sklearn.exceptions import NotFittedError

        for call in (
            lambda: StellarParameterEstimator(emulator).predict(spectra),
            lambda: LineManifoldRegressor(VoigtCloner()).predict(grid.parameters),
            lambda: VoigtCloner().transform(spectra),
            lambda: VoigtCloner().inverse_transform(spectra),
            lambda: PaperEmulator(PaperCloner()).predict(grid.parameters),
            lambda: PaperCloner().transform(spectra),
            lambda: PaperCloner().inverse_transform(spectra),
        ):
            refused(call, "is not fitted yet", error=NotFittedError)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"prominence": -0.1}, ValueError, "prominence == -0.1, must be >= 0"),
        ({"prominence": "deep"}, TypeError, "prominence must be an instance of"),
        ({"max_lines": -1}, ValueError, "max_lines == -1"),
        ({"target_rms": -1.0}, ValueError, "target_rms == -1.0"),
        ({"profile": "gauss"}, ValueError, r"profile must be one of .*got 'gauss'"),
        ({"device": "abacus"}, ValueError, "device must name a torch device .*got 'abacus'"),
        ({"device": "cuda:99"}, ValueError, "device must name a torch device .*got 'cuda:99'"),
        ({"archive": 3}, TypeError, "archive must be the path of a folder or None, got int"),
    ],
)
@pytest.mark.parametrize("make", [quick_cloner, papers_cloner])
def test_settings_of_both_cloners(grid, spectra, make, settings, error, message):
    check_setting(make(grid.wavelength), spectra, settings, error, message)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"max_iter": 2.5}, TypeError, "max_iter must be an instance of int"),
        ({"max_iter": -1}, ValueError, "max_iter == -1"),
        ({"n_seeds": 0}, ValueError, "n_seeds == 0, must be >= 1"),
        ({"regularization": -0.1}, ValueError, "regularization == -0.1"),
    ],
)
def test_settings_of_our_cloner(grid, spectra, settings, error, message):
    check_setting(quick_cloner(grid.wavelength), spectra, settings, error, message)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_epochs": 2.5}, TypeError, "n_epochs must be an instance of int"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate == 0.0, must be > 0"),
        ({"wing_cut": 1}, ValueError, "wing_cut == 1, must be >= 2"),
        ({"min_distance": 0}, ValueError, "min_distance == 0, must be >= 1"),
        ({"edge": -1.0}, ValueError, "edge == -1.0"),
        ({"tolerance": -1}, ValueError, "tolerance == -1"),
        ({"optimizer": "sgd"}, ValueError, r"optimizer must be one of \['adam', .*got 'sgd'"),
        ({"transmission": "sum"}, ValueError, r"transmission must be .*got 'sum'"),
    ],
)
def test_settings_of_the_papers_cloner(grid, spectra, settings, error, message):
    check_setting(papers_cloner(grid.wavelength), spectra, settings, error, message)


def check_setting(cloner, spectra, settings, error, message):
    """A setting is refused, and what was fitted before is as it was."""
    cloner.fit(spectra)
    lines = cloner.transform(spectra)
    good = cloner.get_params()
    cloner.set_params(**settings)
    with pytest.raises(error, match=message):
        cloner.fit(spectra)
    cloner.set_params(**good)
    np.testing.assert_array_equal(cloner.transform(spectra), lines)
