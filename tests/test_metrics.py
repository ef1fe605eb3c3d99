"""Metrics: against sklearn, as scorers, and their errors."""

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import make_scorer, mean_absolute_error, root_mean_squared_error
from sklearn.model_selection import cross_val_score

from skphx.metrics import flux_rms, mean_parameter_error, parameter_errors

NAMES = ("teff", "logg", "feh")


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(7, 3))
    return true, true + rng.normal(size=(7, 3)) + [0.0, 0.5, -2.0]


def test_flux_rms_per_spectrum_is_the_rms_of_each_row(pair):
    true, predicted = pair
    expected = [root_mean_squared_error(*rows) for rows in zip(true, predicted, strict=True)]
    np.testing.assert_allclose(flux_rms(true, predicted, per_spectrum=True), expected)
    assert flux_rms(true, predicted) == pytest.approx(np.mean(expected))
    assert isinstance(flux_rms(true, predicted), float)


def test_flux_rms_weighs_spectra(pair):
    true, predicted = pair
    weights = np.array([1, 0, 0, 3, 0, 0, 0])
    each = flux_rms(true, predicted, per_spectrum=True)
    expected = (each[0] + 3 * each[3]) / 4
    assert flux_rms(true, predicted, sample_weight=weights) == pytest.approx(expected)


def test_flux_rms_of_one_flat_spectrum():
    assert flux_rms([1.0, 1.0], [1.0, 1.0]) == 0.0
    assert flux_rms([1.0, 1.0, 1.0, 1.0], [1.2, 0.8, 1.2, 0.8]) == pytest.approx(0.2)


def test_parameter_errors_are_those_of_each_column(pair):
    true, predicted = pair
    errors = parameter_errors(true, predicted, NAMES)
    assert errors.parameter_names == NAMES
    assert errors.n_spectra == 7
    np.testing.assert_allclose(
        errors.mean_absolute, mean_absolute_error(true, predicted, multioutput="raw_values")
    )
    # Bias and scatter together are the rms error.
    rms = root_mean_squared_error(true, predicted, multioutput="raw_values")
    np.testing.assert_allclose(np.hypot(errors.bias, errors.scatter), rms)
    np.testing.assert_allclose(errors.bias, (predicted - true).mean(axis=0))


def test_parameter_errors_prints_and_turns_into_a_dict(pair):
    errors = parameter_errors(*pair, NAMES)
    assert list(errors.as_dict()) == list(NAMES)
    assert errors.as_dict()["feh"]["bias"] == pytest.approx(errors.bias[2])
    lines = str(errors).splitlines()
    assert [line.split()[0] for line in lines] == ["parameter", *NAMES]
    assert parameter_errors(*pair).parameter_names == ("x0", "x1", "x2")


def test_mean_parameter_error_takes_name_or_column(pair):
    errors = parameter_errors(*pair, NAMES)
    by_name = mean_parameter_error(*pair, parameter="logg", parameter_names=NAMES)
    assert by_name == mean_parameter_error(*pair, parameter=1) == errors.mean_absolute[1]


def test_scorers_prefer_the_smaller_error():
    X = np.linspace(0, 1, 20)[:, None]
    y = X @ [[1.0, 2.0, 3.0]]
    for scorer in (
        make_scorer(flux_rms, greater_is_better=False),
        make_scorer(
            mean_parameter_error,
            greater_is_better=False,
            parameter="feh",
            parameter_names=NAMES,
        ),
    ):
        good = cross_val_score(LinearRegression(), X, y, scoring=scorer, cv=3)
        bad = cross_val_score(DummyRegressor(), X, y, scoring=scorer, cv=3)
        assert (bad < good).all()
        np.testing.assert_allclose(good, 0, atol=1e-12)


@pytest.mark.parametrize("metric", [flux_rms, parameter_errors])
def test_shapes_must_agree(metric):
    with pytest.raises(ValueError, match=r"same shape .* got \(2, 3\) and \(3, 2\)"):
        metric(np.ones((2, 3)), np.ones((3, 2)))


@pytest.mark.parametrize("metric", [flux_rms, parameter_errors])
def test_values_must_be_finite(metric):
    bad = np.ones((2, 3))
    bad[1, 2] = np.nan
    with pytest.raises(ValueError, match="y_pred must be finite, but row 1, column 2 is nan"):
        metric(np.ones((2, 3)), bad)


def test_parameter_must_exist(pair):
    with pytest.raises(ValueError, match="3 columns; give one name for each column"):
        parameter_errors(*pair, ("teff", "logg"))
    with pytest.raises(ValueError, match="got 'alpha'"):
        mean_parameter_error(*pair, parameter="alpha", parameter_names=NAMES)
    with pytest.raises(ValueError, match="from 0 to 2, got 3"):
        mean_parameter_error(*pair, parameter=3)
    with pytest.raises(ValueError, match="inconsistent"):
        flux_rms(*pair, sample_weight=[1.0, 2.0])
