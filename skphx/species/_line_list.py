"""LineList: known transitions, with what their strength and width depend on."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from skphx._domain import check_medium, plain_wavelength
from skphx.observing import air_to_vacuum, vacuum_to_air

_DAMPING = ("radiative", "waals")
_COLUMNS = ("wavelength", "species", "excitation", "log_gf", "depth", *_DAMPING)


@dataclass(frozen=True, eq=False)
class LineList:
    """Known transitions, sorted by wavelength.

    Parameters
    ----------
    wavelength : ndarray of shape (n_transitions,)
        Wavelength in `medium`, Å.
    species : ndarray of str of shape (n_transitions,)
        Species, such as ``"Fe I"`` or ``"TiO"``.
    excitation : ndarray of shape (n_transitions,)
        Energy of the lower level, eV.
    log_gf : ndarray of shape (n_transitions,)
        Logarithm of statistical weight times oscillator strength.
    depth : ndarray of shape (n_transitions,)
        Depth at the line centre, 0 to 1, for the star of the list; NaN if the list has none.
    medium : {"air", "vacuum"}
        Medium of the wavelengths.
    radiative : ndarray of shape (n_transitions,) or None
        Logarithm of the radiative damping constant in s⁻¹; NaN or 0 where unknown. None is all
        NaN.
    waals : ndarray of shape (n_transitions,) or None
        Logarithm of the van der Waals damping constant per hydrogen atom at 10,000 K in
        s⁻¹ cm³, negative; NaN or 0 where unknown. Values of 1 and more are cross-section (atomic
        units, integer part) and velocity exponent (fraction) of Anstee, Barklem and O'Mara.
        None is all NaN.
    """

    wavelength: NDArray[np.float64]
    species: NDArray[np.str_]
    excitation: NDArray[np.float64]
    log_gf: NDArray[np.float64]
    depth: NDArray[np.float64]
    medium: Literal["air", "vacuum"]
    radiative: NDArray[np.float64] | None = None
    waals: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        check_medium(self.medium, required=True)
        object.__setattr__(self, "wavelength", plain_wavelength(self.wavelength))
        order = np.argsort(self.wavelength, kind="stable")
        for name in _COLUMNS:
            column = getattr(self, name)
            if column is None:
                column = np.full(len(order), np.nan)
            column = np.asarray(column)
            if name in _DAMPING:
                # Lists write 0 where a constant is unknown.
                column = np.where(column == 0, np.nan, column)
            if column.shape != np.shape(self.wavelength) or column.ndim != 1:
                raise ValueError(
                    f"{name} must hold one value for each transition, shape "
                    f"{np.shape(self.wavelength)}, got {column.shape}."
                )
            object.__setattr__(self, name, column[order])

    def __len__(self) -> int:
        """Return the number of transitions."""
        return len(self.wavelength)

    def __repr__(self) -> str:
        """Return the number of transitions, the wavelength range and the medium as text."""
        if not len(self):
            return "LineList of no transitions"
        return (
            f"LineList of {len(self)} transitions, {self.wavelength[0]:.2f} to "
            f"{self.wavelength[-1]:.2f} Å ({self.medium})"
        )

    def in_medium(self, medium: Literal["air", "vacuum"]) -> "LineList":
        """Convert the wavelengths to air or to vacuum.

        Parameters
        ----------
        medium : {"air", "vacuum"}
            Medium of the result.

        Returns
        -------
        LineList
            The same transitions with wavelengths in `medium`.

        Raises
        ------
        ValueError
            If `medium` is neither "air" nor "vacuum".
        """
        check_medium(medium, required=True)
        if medium == self.medium or not len(self):
            return self
        convert = vacuum_to_air if medium == "air" else air_to_vacuum
        # The conversion needs strictly increasing wavelengths; transitions may have the same one.
        distinct, inverse = np.unique(self.wavelength, return_inverse=True)
        return replace(self, wavelength=convert(distinct)[inverse], medium=medium)
