"""What the user says about a file of a spectrum, and the errors of its readers."""

from dataclasses import dataclass, field
from typing import Any

ROLES = ("wavelength", "flux", "sigma", "variance", "ivar", "mask")
ERRORS = ("sigma", "variance", "ivar")


class NoSpectrumError(ValueError):
    """A file cannot be used; the message continues after the name of the file."""


class UnknownLayoutError(NoSpectrumError):
    """The names of a file do not say which array is the flux."""


@dataclass
class Request:
    """Arguments of :func:`skphx.datasets.load_spectrum`, and what its readers have to say.

    Parameters
    ----------
    medium, wavelength_unit, resolution, sky_factor, format, hdu, row : object
        As in :func:`skphx.datasets.load_spectrum`.
    wavelength, flux, sigma, variance, ivar, mask : str, int or None
        Name or number of the array.
    mask_good : {0, 1} or None
        Value of good pixels in the mask.
    notes : list of str
        Warnings; each continues after the name of the file.
    unused : list of str
        What the file holds and is not used.
    """

    medium: Any = None
    wavelength_unit: Any = None
    resolution: Any = None
    sky_factor: float = 0.0
    format: str | None = None
    hdu: Any = None
    row: int | None = None
    wavelength: Any = None
    flux: Any = None
    sigma: Any = None
    variance: Any = None
    ivar: Any = None
    mask: Any = None
    mask_good: Any = None
    notes: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    @property
    def names_roles(self):
        """Whether the user names arrays."""
        return any(getattr(self, role) is not None for role in ROLES)

    @property
    def names_arrays(self):
        """Whether the user names arrays or a HDU."""
        return self.hdu is not None or self.names_roles

    def check(self):
        """Raise ValueError for arguments that contradict each other or have wrong types."""
        if sum(getattr(self, role) is not None for role in ERRORS) > 1:
            raise ValueError("give one of sigma, variance and ivar: they are the same errors.")
        for name in (*ROLES, "hdu"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, str | int | None):
                raise ValueError(
                    f"{name} must be the name or the number of a column or extension, got "
                    f"{value!r}."
                )
        if isinstance(self.row, bool) or not isinstance(self.row, int | None):
            raise ValueError(f"row must be the number of a spectrum, from 0, got {self.row!r}.")
        if self.mask_good is not None and self.mask_good not in (0, 1):
            raise ValueError(
                f"mask_good must be 0 or 1, the value of good pixels in the mask, got "
                f"{self.mask_good!r}."
            )
        if self.format is not None and self.names_arrays:
            raise ValueError(
                "give either format, so that specutils reads the file, or the names of arrays."
            )
