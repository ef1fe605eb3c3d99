"""The configuration of the paper: its line fit, its emulator, its search, its files.

``make_stellar_estimator(grid, "paper")`` puts these together with the paper's settings. They
need the extra ``skphx[paper]``: torch for Adam and for blase's files, scikit-optimize for the
search.

=========================================  =============================================
the paper's                                here
=========================================  =============================================
lines detected and fitted by Adam          :class:`PaperCloner`
ln a = -1000 where a line is missing,
no line below -100, linear interpolation   :class:`PaperEmulator`
100 random and 20 guided evaluations       :class:`GaussianProcessSearch`
state dictionaries of blase                :func:`read_state_dicts`, :func:`save_state_dicts`
=========================================  =============================================

References
----------
Shankar, Gully-Santiago & Morley, "Using Hybrid Machine Learning for Fundamental Stellar
Parameter Inference".
"""

from importlib import import_module

_HOME_OF_NAME = {
    "GaussianProcessSearch": "skphx.paper._search",
    "PaperCloner": "skphx.paper._cloner",
    "PaperEmulator": "skphx.paper._emulator",
    "read_state_dicts": "skphx.paper._blase",
    "save_state_dicts": "skphx.paper._blase",
}

__all__ = list(_HOME_OF_NAME)


def __getattr__(name):
    """Import a public name when it is first asked for (PEP 562)."""
    if name in _HOME_OF_NAME:
        return getattr(import_module(_HOME_OF_NAME[name]), name)
    raise AttributeError(f"module 'skphx.paper' has no attribute {name!r}")


def __dir__():
    """Public names, also those not loaded yet."""
    return sorted(__all__)
