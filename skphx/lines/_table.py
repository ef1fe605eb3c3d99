"""Ragged lists of the lines of many spectra."""

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any
from zipfile import is_zipfile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skphx._domain import LINE_PARAMETERS, check_file
from skphx._paths import as_path, whole_file
from skphx.lines._engine.arguments import rising_offsets
from skphx.lines._engine.devices import fetch, send
from skphx.lines._engine.profile import get_profile, total_fwhm
from skphx.lines._render import render_flux

if TYPE_CHECKING:
    import pandas

# Of the npz files that `save` writes; raised when a reader must act differently.
FORMAT_VERSION = 2
# Names of columns in files of version 1.
_OLD_NAMES = {"log_area": "log_amplitude"}


@dataclass(frozen=True, eq=False, repr=False, init=False)
class LineTable:
    """The lines of one or many spectra, stored end to end.

    Spectrum k owns lines ``offsets[k]:offsets[k + 1]`` of every column.

    Parameters
    ----------
    offsets : array-like of shape (n_spectra + 1,), int64
        Where each spectrum's lines begin; the last element is the number of lines.
    center : array-like of shape (n_lines,), float64
        Line centres, Å.
    log_area : array-like of shape (n_lines,), float64
        Natural logarithm of each line's integrated optical depth a, the area of a V(x), Å.
    log_sigma, log_gamma : array-like of shape (n_lines,), float64
        Natural logarithms of the Gaussian standard deviation and of the Lorentzian half
        width at half maximum, both in Å.
    identity : array-like of shape (n_lines,), int64, or None
        Which line of a shared list each one is: equal numbers in two spectra mean the
        same line. None numbers each spectrum's lines from 0.

    Raises
    ------
    ValueError
        If lengths disagree or a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.lines import LineTable
    >>> table = LineTable([0, 2, 3], [5000.0, 5001.0, 5000.1], np.log([0.1, 0.2, 0.1]),
    ...                   [-2.5, -2.5, -2.4], [-3.0, -3.0, -3.1])
    >>> table
    LineTable of 2 spectra, 3 lines (1 to 2 each), 5000.00 to 5001.00 Å
    >>> table[0].center
    array([5000., 5001.])
    >>> LineTable([0, 2], [5000.0], [0.0], [0.0], [0.0])
    Traceback (most recent call last):
        ...
    ValueError: offsets must rise from 0 to the number of lines, 1, got [0 2]; ...
    """

    offsets: NDArray[np.int64]
    center: NDArray[np.float64]
    log_area: NDArray[np.float64]
    log_sigma: NDArray[np.float64]
    log_gamma: NDArray[np.float64]
    identity: NDArray[np.int64]

    def __init__(
        self,
        offsets: ArrayLike,
        center: ArrayLike,
        log_area: ArrayLike,
        log_sigma: ArrayLike,
        log_gamma: ArrayLike,
        identity: ArrayLike | None = None,
    ) -> None:
        given = (center, log_area, log_sigma, log_gamma)
        n_lines = len(np.atleast_1d(np.asarray(center)))
        for name, values in zip(LINE_PARAMETERS, given, strict=True):
            column = np.asarray(values)
            if column.ndim != 1 or column.dtype.kind not in "fiu":
                raise ValueError(
                    f"{name} must be a one-dimensional array of real numbers, (n_lines,), got "
                    f"shape {column.shape} and dtype {column.dtype}."
                )
            column = column.astype(np.float64, copy=False)
            if len(column) != n_lines:
                raise ValueError(
                    f"{name} has {len(column)} elements but center has {n_lines}; "
                    f"give every parameter of every line."
                )
            if not np.isfinite(column).all():
                where = int(np.flatnonzero(~np.isfinite(column))[0])
                raise ValueError(
                    f"{name} must be finite, but element {where} is {column[where]}; "
                    f"leave absent lines out of the table."
                )
            object.__setattr__(self, name, column)
        object.__setattr__(self, "offsets", rising_offsets(offsets, n_lines))
        object.__setattr__(self, "identity", self._check_identity(identity))

    def _check_identity(self, identity):
        """Return identities as int64, by default the position in the spectrum."""
        if identity is None:
            counts = np.diff(self.offsets)
            return np.arange(len(self.center)) - np.repeat(self.offsets[:-1], counts)
        identity = np.asarray(identity)
        if identity.shape != self.center.shape or identity.dtype.kind not in "iu":
            raise ValueError(
                f"identity must hold one whole number a line, shape {self.center.shape}, got "
                f"shape {identity.shape} and dtype {identity.dtype}."
            )
        return identity.astype(np.int64, copy=False)

    @property
    def n_spectra(self) -> int:
        """Number of spectra."""
        return len(self.offsets) - 1

    @property
    def n_lines(self) -> int:
        """Number of lines of all spectra together."""
        return len(self.center)

    def __len__(self):
        """Return the number of spectra."""
        return self.n_spectra

    def __iter__(self):
        """Yield the tables of the single spectra."""
        return (self[k] for k in range(self.n_spectra))

    def __getitem__(self, key):
        """Return a table of the chosen spectra: a whole number, a slice, a mask or indices."""
        if isinstance(key, int | np.integer):
            if not -self.n_spectra <= key < self.n_spectra:
                raise IndexError(
                    f"spectrum {key} does not exist: the table holds {self.n_spectra} spectra."
                )
            key = slice(key % self.n_spectra, key % self.n_spectra + 1)
        if isinstance(key, slice) and key.step in (None, 1):
            start, stop, _ = key.indices(self.n_spectra)
            offsets = self.offsets[start : max(start, stop) + 1]
            lines: Any = slice(int(offsets[0]), int(offsets[-1]))
            offsets = offsets - offsets[0]
        else:
            chosen = np.arange(self.n_spectra)[key]
            counts = np.diff(self.offsets)[chosen]
            offsets = np.concatenate([[0], np.cumsum(counts)])
            lines = np.repeat(self.offsets[chosen] - offsets[:-1], counts)
            lines = lines + np.arange(offsets[-1])
        return LineTable(
            offsets=offsets,
            identity=self.identity[lines],
            **{name: getattr(self, name)[lines] for name in LINE_PARAMETERS},
        )

    def __eq__(self, other):
        """Whether both tables hold the same lines of the same spectra."""
        if not isinstance(other, LineTable):
            return NotImplemented
        names = ("offsets", "identity", *LINE_PARAMETERS)
        return all(np.array_equal(getattr(self, n), getattr(other, n)) for n in names)

    def __repr__(self):
        """Name the numbers of spectra and lines, and the range of wavelengths."""
        spectra = "1 spectrum" if self.n_spectra == 1 else f"{self.n_spectra} spectra"
        if not self.n_lines:
            return f"LineTable of {spectra}, no lines"
        counts = np.diff(self.offsets)
        each = f" ({counts.min()} to {counts.max()} each)" if self.n_spectra > 1 else ""
        lines = "1 line" if self.n_lines == 1 else f"{self.n_lines} lines"
        return (
            f"LineTable of {spectra}, {lines}{each}, "
            f"{self.center.min():.2f} to {self.center.max():.2f} Å"
        )

    @classmethod
    def from_dense(cls, lines: ArrayLike) -> "LineTable":
        """Build a table from an array of lines in which NaN marks an absent line.

        Parameters
        ----------
        lines : array-like of shape (n_spectra, n_identities, 4)
            Centre (Å), ln area (Å), ln sigma and ln gamma (ln Å) of each line of a common
            list; a line with any NaN is absent.

        Returns
        -------
        LineTable
            The lines that are present; `identity` is their place in the list.

        Raises
        ------
        ValueError
            If the shape is wrong.

        Examples
        --------
        >>> import numpy as np
        >>> from skphx.lines import LineTable
        >>> lines = np.full((2, 3, 4), np.nan)
        >>> lines[0, 1] = 5000.0, -2.0, -2.5, -3.0
        >>> table = LineTable.from_dense(lines)
        >>> table.offsets, table.identity
        (array([0, 1, 1]), array([1]))
        """
        lines = np.asarray(lines, dtype=np.float64)
        if lines.ndim != 3 or lines.shape[2] != len(LINE_PARAMETERS):
            raise ValueError(
                f"lines must have shape (n_spectra, n_identities, {len(LINE_PARAMETERS)}), "
                f"got {lines.shape}; the last axis holds {', '.join(LINE_PARAMETERS)}."
            )
        present = np.isfinite(lines).all(axis=2)
        columns = lines[present].T
        return cls(
            offsets=np.concatenate([[0], np.cumsum(present.sum(axis=1))]),
            identity=np.nonzero(present)[1],
            **dict(zip(LINE_PARAMETERS, columns, strict=True)),
        )

    def to_dense(self, n_identities: int) -> NDArray[np.float64]:
        """Spread the lines over an array with a place for every line of a common list.

        Parameters
        ----------
        n_identities : int
            Length of the list that `identity` counts in; lines with a negative identity are
            not in the list and are left out.

        Returns
        -------
        ndarray of shape (n_spectra, n_identities, 4)
            Centre (Å), ln area (Å), ln sigma and ln gamma (ln Å), NaN where absent.

        Raises
        ------
        ValueError
            If an identity is not below `n_identities`.
        """
        if self.n_lines and self.identity.max() >= n_identities:
            raise ValueError(
                f"n_identities must exceed every identity, got {n_identities} where the table "
                f"has {self.identity.max()}; pass the length of the common list."
            )
        lines = np.full((self.n_spectra, n_identities, len(LINE_PARAMETERS)), np.nan)
        spectrum = np.repeat(np.arange(self.n_spectra), np.diff(self.offsets))
        known = self.identity >= 0
        for column, name in enumerate(LINE_PARAMETERS):
            lines[spectrum[known], self.identity[known], column] = getattr(self, name)[known]
        return lines

    def render(
        self, wavelength: ArrayLike, *, device: str = "cpu", **options: Any
    ) -> NDArray[np.float64]:
        """Flux of every spectrum of the table.

        Parameters
        ----------
        wavelength : array-like of shape (n_pixels,)
            Pixel centres, Å.
        device : str
            "cpu", which needs no torch, or the torch device on which the lines are summed.
        **options
            `profile`, `transmission`, `wing_cut` and `method` of `render_flux`.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Flux over a continuum of 1, dimensionless.
        """
        columns = [send(getattr(self, name), device) for name in LINE_PARAMETERS]
        return fetch(render_flux(wavelength, *columns, offsets=self.offsets, **options))

    @classmethod
    def concatenate(cls, tables: Iterable["LineTable"]) -> "LineTable":
        """Join tables, one spectrum after the other.

        Parameters
        ----------
        tables : iterable of LineTable
            Tables to join; identities are kept as they are.

        Returns
        -------
        LineTable
            All spectra of all tables.
        """
        tables = list(tables)
        for position, table in enumerate(tables):
            if not isinstance(table, LineTable):
                raise TypeError(
                    f"tables must hold LineTable only, but element {position} is a "
                    f"{type(table).__name__}."
                )
        counts = [np.diff(table.offsets) for table in tables]
        offsets = np.concatenate([[0], np.cumsum(np.concatenate([[], *counts]))])
        columns = {
            name: np.concatenate([[], *(getattr(table, name) for table in tables)])
            for name in LINE_PARAMETERS
        }
        identity = np.concatenate([np.empty(0, np.int64), *(table.identity for table in tables)])
        return cls(offsets=offsets.astype(np.int64), identity=identity, **columns)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the table to an npz file of plain arrays.

        Parameters
        ----------
        path : path
            File to write; ``.npz`` is appended where it is missing.
        """
        np.savez(
            str(as_path(path)),
            version=np.int64(FORMAT_VERSION),
            offsets=self.offsets,
            identity=self.identity,
            **{name: getattr(self, name) for name in LINE_PARAMETERS},
        )

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "LineTable":
        """Read a table that `save` wrote.

        Parameters
        ----------
        path : path
            The npz file, which may be compressed.

        Returns
        -------
        LineTable
            The same table.

        Raises
        ------
        FileNotFoundError
            If the file does not exist.
        ValueError
            If the file is no table of lines, or of a later version.
        """
        path = check_file(path)
        stored = whole_file(path)
        if not is_zipfile(stored):
            raise ValueError(
                f"{path} is not a table of lines, or is cut short; pass a file that "
                f"LineTable.save wrote."
            )
        with np.load(stored, allow_pickle=False) as file:
            version = int(file["version"]) if "version" in file else FORMAT_VERSION
            old = _OLD_NAMES if version < 2 else {}
            names = {n: old.get(n, n) for n in ("offsets", "identity", *LINE_PARAMETERS)}
            missing = [name for name in ("version", *names.values()) if name not in file]
            # A later version may have other names: that it is later says more.
            if missing and version <= FORMAT_VERSION:
                raise ValueError(
                    f"{path} is not a table of lines: it lacks {missing}; pass a file that "
                    f"LineTable.save wrote."
                )
            if version > FORMAT_VERSION:
                raise ValueError(
                    f"{path} has version {version} of the format and this skphx reads up to "
                    f"{FORMAT_VERSION}; update skphx."
                )
            return cls(**{name: file[stored] for name, stored in names.items()})

    def to_pandas(self, profile: str = "pseudo-voigt") -> "pandas.DataFrame":
        """Return the lines as a DataFrame of physical quantities.

        Parameters
        ----------
        profile : {"pseudo-voigt", "voigt", "blase"}
            Profile that the depth refers to.

        Returns
        -------
        pandas.DataFrame
            One row a line: ``spectrum``, ``identity``, ``center`` (Å), ``area`` (the integrated
            optical depth, Å: the equivalent width of a weak line), ``sigma``, ``gamma``, ``fwhm``
            (Å), ``optical_depth`` (of the line alone at its centre), ``depth`` (1 − exp of minus
            that) and ``equivalent_width`` (of the line alone with exponential transmission, Å).
        """
        import pandas

        sigma, gamma = np.exp(self.log_sigma), np.exp(self.log_gamma)
        area = np.exp(self.log_area)
        peak = area * get_profile(profile)(0.0, sigma, gamma)
        return pandas.DataFrame(
            {
                "spectrum": np.repeat(np.arange(self.n_spectra), np.diff(self.offsets)),
                "identity": self.identity,
                "center": self.center,
                "area": area,
                "sigma": sigma,
                "gamma": gamma,
                "fwhm": total_fwhm(sigma, gamma),
                "optical_depth": peak,
                "depth": -np.expm1(-peak),
                "equivalent_width": equivalent_width(area, sigma, gamma, profile),
            }
        )


def equivalent_width(area, sigma, gamma, profile):
    """Equivalent width of lines alone, the integral of 1 − exp(−a V(x)) over all x.

    Parameters
    ----------
    area, sigma, gamma : ndarrays of shape (n_lines,)
        Area a, Gaussian standard deviation and Lorentzian half width, Å.
    profile : {"pseudo-voigt", "voigt", "blase"}
        Shape V of unit area.

    Returns
    -------
    ndarray of shape (n_lines,)
        Equivalent widths, Å.
    """
    # x = s tan(u): the whole axis, with steps that follow the profile; the integrand over
    # u is smooth and periodic, so that the plain sum converges fast.
    n_points = 512
    angle = (np.arange(n_points) + 0.5) * (np.pi / n_points) - 0.5 * np.pi
    width = np.empty_like(area)
    shape = get_profile(profile)
    for part in range(0, len(area), 4096):
        chosen = slice(part, part + 4096)
        a, s, g = (value[chosen, None] for value in (area, sigma, gamma))
        peak = a * shape(0.0, s, g)
        # A saturated core is flat as far as sqrt(a gamma / pi): stretch the axis with it.
        scale = total_fwhm(s, g) * np.sqrt(1.0 + peak)
        x = scale * np.tan(angle)
        absorbed = -np.expm1(-a * shape(x, s, g))
        jacobian = scale / np.cos(angle) ** 2
        width[chosen] = (absorbed * jacobian).sum(1) * (np.pi / n_points)
    return width
