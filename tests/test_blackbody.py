"""BlackbodyDivider and the Planck function under it."""

import numpy as np
import pytest
from astropy import constants, units
from astropy.modeling.models import BlackBody
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from skphx import BlackbodyDivider, ContinuumNormalizer, PercentileNormalizer
from skphx._domain import FLUX_UNIT, blackbody_flux
from skphx.datasets import load_npz_grid

WAVELENGTH = np.linspace(5000.0, 6000.0, 50)
TEFF = np.array([3500.0, 5800.0, 9000.0])


@pytest.fixture
def spectra():
    return blackbody_flux(WAVELENGTH, TEFF[:, None]) * np.linspace(0.9, 1.1, 50)


@parametrize_with_checks([BlackbodyDivider(wavelength=(5000.0, 6000.0), teff=5800.0)])
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("teff", [2300.0, 5772.0, 12000.0])
def test_blackbody_flux_agrees_with_astropy(teff):
    wavelength = np.geomspace(500.0, 55000.0, 200)
    per_steradian = BlackBody(teff * units.K, scale=1 * units.Unit(FLUX_UNIT) / units.sr)
    expected = np.pi * units.sr * per_steradian(wavelength * units.AA)
    np.testing.assert_allclose(
        blackbody_flux(wavelength, teff), expected.to_value(FLUX_UNIT), rtol=1e-11
    )


def test_blackbody_flux_rayleigh_jeans_limit():
    wavelength, teff = 1e12, np.array([3000.0, 6000.0])  # h nu / k T of 5e-5 and less
    limit = 2 * np.pi * constants.c * constants.k_B * teff * units.K / (wavelength * units.AA) ** 4
    np.testing.assert_allclose(
        blackbody_flux(wavelength, teff), limit.to_value(FLUX_UNIT), rtol=1e-4
    )
    # The first correction to the limit, -x/2, is there: no digits are lost.
    x = (
        constants.h * constants.c / (wavelength * units.AA * constants.k_B * teff * units.K)
    ).to_value(units.dimensionless_unscaled)
    deviation = blackbody_flux(wavelength, teff) / limit.to_value(FLUX_UNIT) - 1
    np.testing.assert_allclose(deviation, -x / 2, rtol=1e-3)


def test_blackbody_flux_wien_limit():
    wavelength, teff = 500.0, 2300.0
    quotient = blackbody_flux(wavelength, teff) / blackbody_flux(wavelength, 2 * teff)
    x = (
        constants.h * constants.c / (wavelength * units.AA * constants.k_B * teff * units.K)
    ).to_value(units.dimensionless_unscaled)
    assert quotient == pytest.approx(np.exp(-x / 2), rel=1e-11)
    assert blackbody_flux(1.0, 1000.0) == 0.0  # beyond the floats, and without a warning


def test_blackbody_flux_obeys_stefan_boltzmann_and_wien_displacement():
    wavelength = np.geomspace(300.0, 1e7, 20_000)
    flux = blackbody_flux(wavelength, 5772.0)
    total = np.trapezoid(flux, wavelength * 1e-8) * units.erg / units.s / units.cm**2
    expected = constants.sigma_sb * (5772.0 * units.K) ** 4
    assert (total / expected).to_value(units.dimensionless_unscaled) == pytest.approx(1, rel=1e-4)
    peak = wavelength[flux.argmax()] * units.AA
    assert (peak * 5772.0 * units.K / constants.b_wien).to_value("") == pytest.approx(1, rel=1e-3)


def test_transform_leaves_what_multiplied_the_blackbody(spectra):
    divider = BlackbodyDivider(wavelength=WAVELENGTH)
    quotient = divider.fit_transform(spectra, teff=TEFF)
    np.testing.assert_allclose(quotient, np.tile(np.linspace(0.9, 1.1, 50), (3, 1)), rtol=1e-13)
    np.testing.assert_allclose(divider.inverse_transform(quotient, teff=TEFF), spectra, rtol=1e-13)


def test_fit_keeps_nothing_per_spectrum(spectra):
    divider = BlackbodyDivider(wavelength=WAVELENGTH).fit(spectra, teff=TEFF)
    assert divider.teff_given_
    fitted = {name for name in vars(divider) if name.endswith("_")}
    assert fitted == {"wavelength_", "teff_given_", "n_features_in_"}
    np.testing.assert_allclose(
        divider.transform(spectra[1:], teff=TEFF[1:]),
        divider.transform(spectra, teff=TEFF)[1:],
    )


def test_quantities_and_float32(spectra):
    plain = BlackbodyDivider(wavelength=WAVELENGTH).fit_transform(spectra, teff=TEFF)
    divider = BlackbodyDivider(wavelength=(WAVELENGTH / 10) * units.nm)
    np.testing.assert_allclose(divider.fit_transform(spectra, teff=TEFF * units.K), plain)
    single = divider.fit_transform(spectra.astype(np.float32), teff=TEFF)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, plain, rtol=1e-6)


def test_constructor_scalar_is_the_fallback(spectra):
    divider = BlackbodyDivider(wavelength=WAVELENGTH, teff=5800.0).fit(spectra)
    assert not divider.teff_given_
    expected = divider.transform(spectra, teff=np.full(3, 5800.0))
    np.testing.assert_array_equal(divider.transform(spectra), expected)
    np.testing.assert_allclose(divider.inverse_transform(expected), spectra)


def test_transform_without_teff_after_fit_with_teff_raises(spectra):
    divider = BlackbodyDivider(wavelength=WAVELENGTH, teff=5800.0).fit(spectra, teff=TEFF)
    with pytest.raises(ValueError, match=r"fitted with teff, so transform needs it too"):
        divider.transform(spectra)
    with pytest.raises(ValueError, match=r"so inverse_transform needs it too"):
        divider.inverse_transform(spectra)
    divider.fit(spectra)  # a new fit forgets
    divider.transform(spectra)


@pytest.mark.parametrize(
    ("settings", "teff", "message"),
    [
        ({"wavelength": None}, TEFF, "needs wavelength, the pixel centres in Å, got None"),
        ({}, None, "needs teff, in K, in fit, got None"),
        (
            {"teff": TEFF},
            None,
            r"must be one number in K for all spectra, got shape \(3,\)",
        ),
        ({"teff": 0.0}, None, "teff must be positive and finite"),
        ({}, [3500.0, -1.0, 9000.0], r"element 1 is -1.0"),
        ({}, [3500.0, np.nan, 9000.0], r"element 1 is nan"),
        ({}, TEFF[:2], r"shape \(3,\), got shape \(2,\)"),
        ({"wavelength": WAVELENGTH[:-1]}, TEFF, "49 elements but the spectra have 50 pixels"),
        ({"wavelength": WAVELENGTH[::-1]}, TEFF, "strictly increasing"),
        ({"wavelength": WAVELENGTH * units.K}, TEFF, "unit of length"),
    ],
)
def test_bad_arguments_are_named(spectra, settings, teff, message):
    divider = BlackbodyDivider(**{"wavelength": WAVELENGTH, **settings})
    with pytest.raises(ValueError, match=message):
        divider.fit(spectra, teff=teff)


def test_bad_flux_is_named(spectra):
    divider = BlackbodyDivider(wavelength=WAVELENGTH).fit(spectra, teff=TEFF)
    broken = spectra.copy()
    broken[1, 3] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        divider.fit(broken, teff=TEFF)
    broken[1] = -spectra[1]
    with pytest.raises(
        ValueError, match=r"Negative values in data.*100% of the pixels of spectrum 1"
    ):
        divider.transform(broken, teff=TEFF)
    # Nothing fitted is lost.
    divider.transform(spectra, teff=TEFF)


def test_vanishing_blackbody_is_an_error():
    divider = BlackbodyDivider(wavelength=(1.0, 2.0)).fit(np.ones((1, 3)), teff=[1000.0])
    with pytest.raises(ValueError, match=r"teff=1000.0 K is zero at 1.0 Å, so spectrum 0"):
        divider.transform(np.ones((1, 3)), teff=[1000.0])


def test_teff_travels_through_a_pipeline(spectra):
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(
            BlackbodyDivider(wavelength=WAVELENGTH),
            PercentileNormalizer(),
            ContinuumNormalizer(WAVELENGTH, degree=2),
        )
        flux = pipeline.fit_transform(spectra, teff=TEFF)
        np.testing.assert_allclose(pipeline.transform(spectra, teff=TEFF), flux)
        np.testing.assert_allclose(pipeline.inverse_transform(flux, teff=TEFF), spectra)
        steps = pipeline.named_steps
        quotient = steps["blackbodydivider"].transform(spectra, teff=TEFF)
        scale = steps["percentilenormalizer"].measure_scale(quotient)
        continuum = steps["continuumnormalizer"].measure_continuum(quotient / scale[:, None])
        back = pipeline.inverse_transform(
            flux[:2], teff=TEFF[:2], scale=scale[:2], continuum=continuum[:2]
        )
        np.testing.assert_allclose(back, spectra[:2])
        with pytest.raises(ValueError, match="fitted with teff, so transform needs it too"):
            pipeline.transform(spectra)
        # The clone asks for teff just the same.
        np.testing.assert_allclose(clone(pipeline).fit_transform(spectra, teff=TEFF), flux)


def test_set_output_keeps_names(spectra):
    divider = BlackbodyDivider(wavelength=WAVELENGTH).set_output(transform="pandas")
    frame = divider.fit_transform(spectra, teff=TEFF)
    assert list(frame.columns) == [f"x{i}" for i in range(50)]
    np.testing.assert_array_equal(frame.columns, divider.get_feature_names_out())


@pytest.mark.shared_data
def test_real_spectra_through_all_three_steps(shared_data):
    grid = load_npz_grid(shared_data / "phoenix_hband_grid.npz", medium="vacuum")
    teff = grid.parameters[:, 0]
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(
            BlackbodyDivider(wavelength=grid.wavelength),
            PercentileNormalizer(),
            ContinuumNormalizer(grid.wavelength),
        )
        flux = pipeline.fit_transform(grid.spectra, teff=teff)
        np.testing.assert_allclose(pipeline.inverse_transform(flux, teff=teff), grid.spectra)
    near_top = np.percentile(flux, 95, axis=1)
    assert near_top.min() > 0.99
    assert near_top.max() < 1.01
    assert flux.max() < 1.1
    assert flux.min() > 0
    # Teff drove the raw flux; what is left of it is the lines'.
    raw_level = np.median(grid.spectra, axis=1)
    level = np.median(flux, axis=1)
    assert level.std() / level.mean() < 0.1 * raw_level.std() / raw_level.mean()
