"""Validation of a grid: find damaged, mislabelled and outlying spectra.

:func:`diagnose_grid` checks each spectrum, predicts it from the nodes around it, and returns a
:class:`GridReport` of the spectra with errors that are unusually large.
"""

from skphx.validation._findings import GridReport
from skphx.validation._grid import diagnose_grid

__all__ = ["GridReport", "diagnose_grid"]
