"""Pictures of spectra, lines, manifolds and errors.

Every picture is a Display, as in scikit-learn: the constructor takes what is drawn, as arrays;
``from_estimator`` and ``from_predictions`` compute it; ``plot(ax=None)`` draws it, as often and
on whichever axes one likes, and leaves ``figure_``, ``ax_`` and, where there are several
panels, ``axes_`` behind. matplotlib is imported by the first ``plot``: install it with
``pip install 'skphx[plot]'``.

=====================================  ================================================
what is asked                          Display
=====================================  ================================================
how many lines does each node have?    :class:`LineCountDisplay`
how does a line vary over the grid?    :class:`ManifoldDisplay`
what is between two nodes?             :class:`BetweenNodesDisplay`
how long does a spectrum take?         :class:`RenderTimeDisplay`
how good is a line fit, an emulation?  :class:`ResidualDisplay`
where is the emulator good?            :class:`EmulatorErrorDisplay`
which lines feel a parameter?          :class:`SensitivityDisplay`
which lines are in this window?        :class:`LineTableDisplay`
how good are inferred parameters?      :class:`ParameterErrorDisplay`
how sure, how correlated?              :class:`PosteriorDisplay`
=====================================  ================================================

Nothing else in skphx imports this package.
"""

from importlib import import_module

_HOME_OF_NAME = {
    "BetweenNodesDisplay": "skphx.inspection._between_nodes",
    "EmulatorErrorDisplay": "skphx.inspection._emulator_error",
    "LineCountDisplay": "skphx.inspection._line_count",
    "LineTableDisplay": "skphx.inspection._line_table",
    "ManifoldDisplay": "skphx.inspection._manifold",
    "ParameterErrorDisplay": "skphx.inspection._parameter_error",
    "PosteriorDisplay": "skphx.inspection._posterior",
    "RenderTimeDisplay": "skphx.inspection._render_time",
    "ResidualDisplay": "skphx.inspection._residual",
    "SensitivityDisplay": "skphx.inspection._sensitivity",
}

__all__ = list(_HOME_OF_NAME)


def __getattr__(name):
    """Import a public name when it is first asked for (PEP 562)."""
    if name in _HOME_OF_NAME:
        return getattr(import_module(_HOME_OF_NAME[name]), name)
    raise AttributeError(f"module 'skphx.inspection' has no attribute {name!r}")


def __dir__():
    """Public names, also those not loaded yet."""
    return sorted(__all__)
