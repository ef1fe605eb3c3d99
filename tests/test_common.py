"""scikit-learn's own checks on all six estimators."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skphx import (
    BlackbodyDivider,
    ContinuumNormalizer,
    LineManifoldRegressor,
    PercentileNormalizer,
    StellarParameterEstimator,
    VoigtCloner,
)

EXPECTED_FAILURES = {}


def make_estimators():
    cloner = VoigtCloner(n_epochs=3, target_rms=None)
    emulator = LineManifoldRegressor(cloner, parameter_names=None, holes="interpolate")
    return [
        BlackbodyDivider(wavelength=(5000.0, 6000.0), teff=5800.0),
        PercentileNormalizer(),
        ContinuumNormalizer(),
        cloner,
        emulator,
        StellarParameterEstimator(emulator, n_calls=4, n_initial_points=4, random_state=0),
    ]


@parametrize_with_checks(
    make_estimators(),
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES.get(type(estimator).__name__, {}),
    xfail_strict=True,
)
def test_estimator_checks(estimator, check):
    check(estimator)
