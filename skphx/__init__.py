"""Grids of model spectra as emulators made of spectral lines, with scikit-learn estimators.

The public names are loaded on first use, so that ``import skphx`` stays light:
torch, numba and scikit-optimize are imported by the parts that need them.
"""

from importlib import import_module

from skphx._version import __version__

_HOME_OF_NAME = {
    "BlackbodyDivider": "skphx._blackbody",
    "PercentileNormalizer": "skphx._percentile",
    "ContinuumNormalizer": "skphx._continuum",
    "VoigtCloner": "skphx._cloner",
    "FluxEmulator": "skphx.flux.emulator",
    "LineManifoldRegressor": "skphx._manifold",
    "StellarParameterEstimator": "skphx._estimator",
    "make_stellar_estimator": "skphx._configurations",
    "load_model": "skphx._model_files",
    "save_model": "skphx._model_files",
}
_SUBMODULES = (
    "datasets",
    "flux",
    "grids",
    "inference",
    "inspection",
    "lines",
    "metrics",
    "model_selection",
    "observing",
    "species",
)

__all__ = ["__version__", *_HOME_OF_NAME, *_SUBMODULES]


def __getattr__(name):
    """Import a public name when it is first asked for (PEP 562)."""
    if name in _HOME_OF_NAME:
        return getattr(import_module(_HOME_OF_NAME[name]), name)
    if name in _SUBMODULES:
        return import_module(f"skphx.{name}")
    raise AttributeError(f"module 'skphx' has no attribute {name!r}")


def __dir__():
    """Public names, also those not loaded yet."""
    return sorted(__all__)
