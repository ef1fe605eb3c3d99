"""CalibratedEmulator: an emulator whose lines are corrected by what stars taught."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from skphx.calibration._corrections import LineCorrections
from skphx.flux._wrapped import WrappedEmulator


class CalibratedEmulator(WrappedEmulator):
    """Emulate spectra whose lines are corrected by what stars taught.

    The flux is that of an emulator times the corrected over the uncorrected transmission of its
    lines, at any point of the grid. :class:`LineCalibrator` makes it.

    Parameters
    ----------
    emulator : FluxEmulator or LineManifoldRegressor
        The emulator to correct.
    corrections : LineCorrections
        Corrections of :class:`LineCalibrator`.
    model_error : LineModelError or None, default=None
        What the corrections leave: errors of single lines and of the flux, for `infer`.
    provenance : dict or None, default=None
        Stars from which the corrections were learnt, with their parameters.

    Attributes
    ----------
    emulator_ : FluxEmulator or LineManifoldRegressor
        The fitted emulator before correction.
    corrections_ : LineCorrections
        The corrections, of the lines that matter on these wavelengths.
    model_error_ : LineModelError or None
        As given.
    grid_, error_, node_continua_, wavelength_, resolution_, n_features_in_
        As those of `emulator_`.

    See Also
    --------
    LineCalibrator : learns the corrections.

    Notes
    -----
    The interpolation error is that of the uncorrected emulator, and so are the continua that its
    normalisers divided out.
    """

    def __init__(
        self,
        emulator: Any,
        corrections: LineCorrections,
        *,
        model_error: Any = None,
        provenance: dict | None = None,
    ) -> None:
        self.emulator = emulator
        self.corrections = corrections
        self.model_error = model_error
        self.provenance = provenance

    @classmethod
    def _of_fitted(cls, emulator, corrections, **settings):
        """Correct a fitted emulator, without fitting it again."""
        new = cls(emulator, corrections, **settings)
        new._take(emulator)
        return new

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the emulator to spectra of nodes, and correct its lines as they are corrected here.

        Parameters
        ----------
        X : array-like or table of shape (n_nodes, n_parameters)
            Stellar parameters of the nodes; names as those for which the corrections were learnt.
        y : array-like of shape (n_nodes, n_pixels)
            Their spectra, as the emulator takes them.

        Returns
        -------
        self : CalibratedEmulator
            The fitted emulator.

        Raises
        ------
        ValueError
            If the emulator refuses nodes or spectra, or a parameter of the lines is missing.
        """
        emulator = clone(self.emulator).fit(X, y)
        n_needed, n_parameters = max(self.corrections.columns) + 1, emulator.grid_.n_parameters
        if n_parameters < n_needed:
            raise ValueError(
                f"X must have {n_needed} parameters or more, those with which the corrections "
                f"were learnt, in their order, got {n_parameters}."
            )
        self._take(emulator)
        return self

    def _take(self, emulator):
        """Use a fitted emulator."""
        super()._take(emulator)
        self.corrections_ = self.corrections
        self.model_error_ = self.model_error

    def _select_own(self):
        self.corrections_ = self.corrections_.selected(self.wavelength_)

    def _flux(self, points):
        return self.emulator_._flux(points) * self.corrections_.ratio(self.wavelength_, points)

    def _flux_jacobian(self, points):
        flux, slopes = self.emulator_._flux(points), self.emulator_._flux_jacobian(points)
        ratio, log_slopes = self.corrections_.ratio_with_slopes(self.wavelength_, points)
        return (np.asarray(slopes) + flux * log_slopes) * ratio

    def _lines(self, points):
        return self.corrections_.lines_at(points)[1]
