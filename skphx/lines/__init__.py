"""A spectrum as a list of lines: profiles, fits, tables of lines, and the sum of lines.

=======================================  ==================================================
what                                     where
=======================================  ==================================================
shapes of lines                          ``_engine/profile.py``
their sum                                :func:`render_flux`, ``_render.py`` and ``_engine/``
lines of many spectra                    :class:`LineTable`, ``_table.py``
lines seen in a spectrum                 :func:`detect_lines`, ``_detection.py``
lines fitted to a spectrum               :func:`fit_spectrum`, ``_fitting.py`` over
                                         ``_least_squares.py``
one list of lines for many spectra       ``_growing.py``
lines as surfaces over a grid            ``_joint.py``, in windows of wavelength
                                         (``_windows.py``), in the order of ``_smoothing.py``
lines at any point of a grid             ``_surfaces.py``, ``_node_lines.py``
fits over processes, cached, archived    ``_passes.py``, ``_running.py``, :class:`LineArchive`
the estimators                           :class:`skphx.VoigtCloner`,
                                         :class:`skphx.LineManifoldRegressor`
=======================================  ==================================================
"""

from importlib import import_module

_HOME_OF_NAME = {
    "LineArchive": "skphx.lines._archive",
    "LineTable": "skphx.lines._table",
    "fit_spectrum": "skphx.lines._fitting",
    "detect_lines": "skphx.lines._detection",
    "optical_depth": "skphx.lines._render",
    "pseudo_voigt": "skphx.lines._engine.profile",
    "render_flux": "skphx.lines._render",
    "voigt": "skphx.lines._engine.profile",
}

__all__ = list(_HOME_OF_NAME)


def __getattr__(name):
    """Import a public name when it is first asked for (PEP 562)."""
    if name in _HOME_OF_NAME:
        return getattr(import_module(_HOME_OF_NAME[name]), name)
    raise AttributeError(f"module 'skphx.lines' has no attribute {name!r}")


def __dir__():
    """Public names, also those not loaded yet."""
    return sorted(__all__)
