"""Pictures of spectra, lines, manifolds and errors.

Every picture is a Display, as in scikit-learn. The constructor takes the arrays to draw;
``from_estimator`` and ``from_predictions`` compute them. ``plot(ax=None)`` draws them and can be
called repeatedly, with any axes; it sets ``figure_``, ``ax_`` and, if there are several panels,
``axes_``. matplotlib is imported by ``plot``: install it with ``pip install 'skphx[plot]'``.

=====================================  ================================================
question                               Display
=====================================  ================================================
how many lines does each node have?    :class:`LineCountDisplay`
how does a line vary over the grid?    :class:`ManifoldDisplay`
what is between two nodes?             :class:`BetweenNodesDisplay`
how long does a spectrum take?         :class:`RenderTimeDisplay`
how good is a line fit, an emulation?  :class:`ResidualDisplay`
where is the emulator good?            :class:`EmulatorErrorDisplay`
which lines depend on a parameter?     :class:`SensitivityDisplay`
which lines are in this window?        :class:`LineTableDisplay`
how good are inferred parameters?      :class:`ParameterErrorDisplay`
how uncertain, how correlated?         :class:`PosteriorDisplay`
what did a calibration change?         :class:`CalibrationDisplay`
which species absorb where?            :class:`SpeciesDisplay`
=====================================  ================================================

No other module of skphx imports this package.
"""

from importlib import import_module

_HOME_OF_NAME = {
    "BetweenNodesDisplay": "skphx.inspection._between_nodes",
    "CalibrationDisplay": "skphx.inspection._calibration",
    "EmulatorErrorDisplay": "skphx.inspection._emulator_error",
    "LineCountDisplay": "skphx.inspection._line_count",
    "LineTableDisplay": "skphx.inspection._line_table",
    "ManifoldDisplay": "skphx.inspection._line_manifold",
    "ParameterErrorDisplay": "skphx.inspection._parameter_error",
    "PosteriorDisplay": "skphx.inspection._posterior",
    "RenderTimeDisplay": "skphx.inspection._render_time",
    "ResidualDisplay": "skphx.inspection._residual",
    "SensitivityDisplay": "skphx.inspection._sensitivity",
    "SpeciesDisplay": "skphx.inspection._species",
}

__all__ = list(_HOME_OF_NAME)


def __getattr__(name):
    """Import a public name on first access (PEP 562)."""
    if name in _HOME_OF_NAME:
        return getattr(import_module(_HOME_OF_NAME[name]), name)
    raise AttributeError(f"module 'skphx.inspection' has no attribute {name!r}")


def __dir__():
    """Return all public names, also those not imported yet."""
    return sorted(__all__)
