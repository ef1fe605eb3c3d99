"""Emulate grids of stellar spectra and infer stellar parameters, with scikit-learn estimators.

The public names are imported on first use, so that ``import skphx`` is fast: torch, numba and
scikit-optimize are imported only by the modules that need them.
"""

from importlib import import_module
from typing import Any

from skphx._version import __version__

_HOME_OF_NAME = {
    "BlackbodyDivider": "skphx.preprocessing._blackbody",
    "PercentileNormalizer": "skphx.preprocessing._percentile",
    "ContinuumNormalizer": "skphx.preprocessing._continuum",
    "VoigtCloner": "skphx.lines._cloner",
    "FluxEmulator": "skphx.flux._emulator",
    "LineManifoldRegressor": "skphx.lines._manifold_regressor",
    "StellarParameterEstimator": "skphx.inference._estimator",
    "make_stellar_estimator": "skphx._configurations",
    "load_model": "skphx._persistence",
    "save_model": "skphx._persistence",
}
_SUBMODULES = (
    "calibration",
    "datasets",
    "inference",
    "inspection",
    "interpolation",
    "lines",
    "metrics",
    "model_selection",
    "observing",
    "paper",
    "species",
    "validation",
)

__all__ = ["__version__", *_HOME_OF_NAME, *_SUBMODULES]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name in _HOME_OF_NAME:
        return getattr(import_module(_HOME_OF_NAME[name]), name)
    if name in _SUBMODULES:
        return import_module(f"skphx.{name}")
    raise AttributeError(f"module 'skphx' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return all public names, also those that are not imported yet."""
    return sorted(__all__)
