"""Results of inference, for one star or for several: parameters, errors, the fit, and flags."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skphx._domain import unit_of_parameter

if TYPE_CHECKING:
    from astropy.table import Table
    from pandas import DataFrame

# Meaning of each flag, and what to do.
FLAGS: dict[str, str] = {
    "at_bound": "a parameter is at a bound, and the true value may be beyond it; widen the bound, "
    "or use the value as a limit",
    "bad_fit": "the model does not describe the spectrum: chi² is too high, or, without errors, "
    "residuals are larger in the lines than between them, or most of what is not noise stays "
    "unexplained; or the continuum is negative; the parameters may be wrong by more than their "
    "errors",
    "featureless": "the continuum alone describes the spectrum as well, so the parameters are not "
    "determined; errors are those of the search box",
    "outside_grid": "the best model is at an edge of the grid, and models beyond it would "
    "describe the spectrum better; use a grid that goes further",
    "not_converged": "the minimisation reached its largest number of evaluations; narrow the "
    "bounds, or fit fewer parameters",
    "degenerate": "the spectrum does not determine some combination of parameters; hold one of "
    "them, or give a prior",
    "undetermined": "the spectrum alone determines the abundance of an element to no better than "
    "0.3 dex; its value and error are NaN; leave the element out",
    "uncovered": "more than a tenth of the good pixels within the model's wavelengths were left "
    "out, because they lie in a gap of the model, or because the velocities and broadenings "
    "allowed reach beyond its ends; narrow their ranges, or use a model of more wavelengths",
}

# Rows of a longer table that are shown at its beginning and at its end.
_SHOWN = 10


@dataclass(eq=False, repr=False)
class InferenceResult:
    """Parameters of observed stars, with errors, the fit and flags.

    The result of one star holds its values as they are. The result of a list of stars has an
    element for each star in every attribute but `parameter_names`: the shapes below begin with
    ``n_stars``, a number becomes an array, and a tuple or list becomes a tuple of them.

    Both have a length, can be iterated over, and can be indexed. ``results[0]`` is the result of
    the first star, ``results[2:5]`` and ``results[results.ok]`` are results of several, and
    ``results["teff"]`` is a column of :meth:`as_dict`. The result of one star has length 1, and
    its only element is itself. So what is written for many stars also works for one.

    Attributes
    ----------
    parameter_names : tuple of str
        Stellar parameters, then the kinematic and instrumental parameters that were free.
    parameters : ndarray of shape (n_parameters,)
        Best values; velocities in km/s. NaN for the abundance of an element that the spectrum
        does not determine, also in `covariance`.
    covariance : ndarray of shape (n_parameters, n_parameters)
        Covariance of the posterior at its maximum: pixel noise, marginalised over the
        continuum, times a factor that the size and the correlation of the residuals give, plus
        the emulator's own error. It is 0 for parameters that were held.
    emulator_covariance : ndarray of shape (n_parameters, n_parameters)
        The part of `covariance` that is due to the emulator's own error.
    chi2 : float
        Sum of squared residuals divided by their variances, without priors.
    n_pixels : int
        Number of pixels used.
    n_free : int
        Number of fitted parameters, coefficients of the continuum included.
    model : list of ndarray of shape (n_segment_pixels,)
        Flux of the model, for each segment.
    residual : list of ndarray of shape (n_segment_pixels,)
        Observed flux minus model, for each segment; NaN for pixels not used.
    continuum : list of ndarray of shape (n_segment_pixels,)
        The polynomial by which the model is multiplied, for each segment.
    flags : tuple of str
        Names in :data:`skphx.inference.FLAGS`; empty if there is no problem.
    at_bound : tuple of str
        Parameters at a bound.
    n_evaluations : int
        Number of spectra emulated for this star alone.
    n_shared_evaluations : int
        Number of spectra emulated for all stars of the call together.
    sigma_known : bool
        Whether the spectrum has errors. If not, they are estimated from the scatter, and `chi2`
        is the number of degrees of freedom.
    log_evidence : float
        Natural logarithm of the evidence in Laplace's approximation, up to a constant of the
        data, with errors of the flux as they were given; NaN without errors. Compare it between
        emulators that describe one star well: of a bad fit it says little.
    samples : ndarray of shape (n_samples, n_parameters) or None
        Samples of the posterior, NaN for what is not determined; None if ``n_samples=0``.
    name : str or None
        Name of the star, if it is known.

    Raises
    ------
    IndexError
        If an index is beyond the stars.
    KeyError
        If there is no column of a name.
    """

    parameter_names: tuple[str, ...]
    parameters: NDArray[np.float64]
    covariance: NDArray[np.float64]
    emulator_covariance: NDArray[np.float64]
    chi2: float | NDArray[np.float64]
    n_pixels: int | NDArray[np.int64]
    n_free: int | NDArray[np.int64]
    model: Sequence[Any]
    residual: Sequence[Any]
    continuum: Sequence[Any]
    flags: tuple[Any, ...]
    at_bound: tuple[Any, ...]
    n_evaluations: int | NDArray[np.int64]
    n_shared_evaluations: int | NDArray[np.int64]
    sigma_known: bool | NDArray[np.bool_]
    log_evidence: float | NDArray[np.float64]
    samples: NDArray[np.float64] | None = None
    name: str | tuple[str | None, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """``()`` for one star, ``(n_stars,)`` for a list of stars."""
        return self.parameters.shape[:-1]

    @property
    def errors(self) -> NDArray[np.float64]:
        """Standard errors of `parameters`, in their shape."""
        return np.sqrt(np.diagonal(self.covariance, axis1=-2, axis2=-1))

    @property
    def reduced_chi2(self) -> float | NDArray[np.float64]:
        """`chi2` divided by the number of degrees of freedom."""
        freedom = np.maximum(np.subtract(self.n_pixels, self.n_free), 1)
        reduced = self.chi2 / freedom
        return reduced if self.shape else float(reduced)

    @property
    def ok(self) -> bool | NDArray[np.bool_]:
        """Whether no flag is set but `undetermined`, which is seen as NaN."""
        if not self.shape:
            return not set(self.flags) - {"undetermined"}
        return np.array([not set(flags) - {"undetermined"} for flags in self.flags], dtype=bool)

    def as_dict(self) -> dict[str, Any]:
        """Return the columns of a table by name.

        Returns
        -------
        dict
            ``{"teff": ..., "teff_error": ..., ..., "chi2": ..., "reduced_chi2": ...,
            "n_pixels": ..., "ok": ..., "flags": "..."}``: numbers, booleans and a text for one
            star, arrays of shape (n_stars,) for several. Flags are separated by spaces. If a
            name is known, ``"name"`` comes first; it is empty for stars without a name.
        """
        columns = self._columns()
        if self.shape:
            return columns
        return {name: column[0].item() for name, column in columns.items()}

    def to_pandas(self) -> "DataFrame":
        """Return a table with one row for each star.

        Returns
        -------
        pandas.DataFrame
            With the columns of :meth:`as_dict`; one row for one star.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "to_pandas needs pandas, which is not installed; install it with pip install "
                "pandas, or use to_table() or as_dict()."
            ) from error
        return pd.DataFrame(self._columns())

    def to_table(self) -> "Table":
        """Return an astropy table with one row for each star, and with units.

        Returns
        -------
        astropy.table.Table
            With the columns of :meth:`as_dict`. Teff is in K, velocities are in km/s.
        """
        from astropy.table import Table

        table = Table(self._columns())
        for name in self.parameter_names:
            unit = unit_of_parameter(name)
            if unit is not None:
                table[name].unit = unit
                # A difference of two logarithms is in dex, whatever they are of.
                table[f"{name}_error"].unit = "dex" if unit.startswith("dex") else unit
        return table

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 1

    def __iter__(self) -> Iterator["InferenceResult"]:
        return (self[star] for star in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str):
            return self._column(index)
        if isinstance(index, list) and not index:
            index = slice(0)
        stars = np.arange(len(self))[index]
        if stars.ndim == 0:
            return self if not self.shape else self._take(int(stars))
        if stars.ndim > 1:
            raise IndexError(
                f"stars have one axis, got an index of shape {stars.shape}; give a number, a "
                f"slice, or an array of numbers or booleans."
            )
        several = self if self.shape else stack_results([self])
        return several._take(stars)

    def _take(self, stars: Any) -> "InferenceResult":
        """Return the result of one star, given an int, or of several, given an array."""
        taken = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in taken.items():
            if name == "parameter_names" or value is None:
                continue
            if isinstance(stars, int) or isinstance(value, np.ndarray):
                value = value[stars]
            else:
                value = tuple(value[star] for star in stars)
            taken[name] = value.item() if isinstance(value, np.generic) else value
        return type(self)(**taken)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        # NumPy would otherwise look for the elements of the result of one star without end.
        array = np.empty(self.shape, dtype=object)
        if not self.shape:
            array[()] = self
        for star in range(len(array) if self.shape else 0):
            array[star] = self[star]
        return array

    def _columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns of a table, each of shape (n_stars,)."""
        columns = {}
        if self.name is not None:
            names = self.name if self.shape else (self.name,)
            columns["name"] = np.array([name or "" for name in names], dtype=str)
        values, errors = np.atleast_2d(self.parameters), np.atleast_2d(self.errors)
        for place, name in enumerate(self.parameter_names):
            columns[name] = values[:, place]
            columns[f"{name}_error"] = errors[:, place]
        for name in ("chi2", "reduced_chi2", "n_pixels", "ok"):
            columns[name] = np.atleast_1d(getattr(self, name))
        flags = self.flags if self.shape else (self.flags,)
        columns["flags"] = np.array([" ".join(one) for one in flags], dtype=str)
        return columns

    def _column(self, name):
        """Return one column, a number or text for one star."""
        columns = self._columns()
        if name not in columns:
            raise KeyError(f"there is no column {name!r}; there are {', '.join(columns)}.")
        return columns[name] if self.shape else columns[name][0].item()

    def __repr__(self):
        if self.shape:
            stars = "1 star" if len(self) == 1 else f"{len(self)} stars"
            return f"<InferenceResult of {stars}>\n{self._table()}".rstrip()
        names = ", ".join(
            f"{name}={value:.5g} ± {error:.2g}"
            for name, value, error in zip(
                self.parameter_names, self.parameters, self.errors, strict=True
            )
        )
        star = "" if self.name is None else f" {self.name}:"
        flags = f", flags: {' '.join(self.flags)}" if self.flags else ""
        return f"<InferenceResult{star} {names}; chi²/n {self.reduced_chi2:.3g}{flags}>"

    def __str__(self):
        if self.shape:
            return "\n".join([repr(self), *self._meanings()])
        lines = [] if self.name is None else [str(self.name)]
        lines += [
            f"{name:>15} {value:12.5g} ± {error:.3g}"
            for name, value, error in zip(
                self.parameter_names, self.parameters, self.errors, strict=True
            )
        ]
        known = "" if self.sigma_known else " (errors from the scatter)"
        lines.append(
            f"{'chi²/n':>15} {self.reduced_chi2:12.5g}   {self.n_pixels} pixels, {self.n_free} "
            f"fitted{known}"
        )
        unknown = np.array(self.parameter_names)[np.isnan(self.parameters)]
        concerned = {"at_bound": self.at_bound, "undetermined": unknown}
        for flag in self.flags:
            where = f" ({', '.join(concerned[flag])})" if flag in concerned else ""
            lines.append(f"{flag:>15}{where}: {FLAGS[flag]}")
        return "\n".join(lines)

    def _meanings(self):
        """Return a line for each flag that a star has."""
        present = [flag for flag in FLAGS if any(flag in flags for flags in self.flags)]
        return [f"{flag}: {FLAGS[flag]}" for flag in present]

    def _table(self, whole=False):
        """Return the text of a table, one row for each star; long tables may be shortened."""
        n_stars = len(self)
        if n_stars == 0:
            return ""
        shown = np.arange(n_stars)
        shortened = n_stars > 2 * _SHOWN and not whole
        if shortened:
            shown = np.r_[shown[:_SHOWN], shown[-_SHOWN:]]
        rows = [["star", *self.parameter_names, "chi²/n", "flags"]]
        for star in shown:
            one = self[star]
            if star == n_stars - _SHOWN and shortened:
                rows.append(["…"] * (len(self.parameter_names) + 2) + [""])
            pairs = zip(one.parameters, one.errors, strict=True)
            rows.append(
                [
                    one.name or str(star),
                    *(f"{value:.5g} ± {error:.2g}" for value, error in pairs),
                    f"{one.reduced_chi2:.3g}",
                    " ".join(one.flags),
                ]
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True))
            + f"  {row[-1]}".rstrip()
            for row in rows
        )


def text_of_stars(results: InferenceResult) -> str:
    """Return a table of all stars, however many, and the meaning of the flags that are set."""
    return "\n".join([results._table(whole=True), *results._meanings()])


def stack_results(
    results: Sequence[InferenceResult], parameter_names: Sequence[str] = ()
) -> InferenceResult:
    """Return one result of several stars.

    Parameters
    ----------
    results : sequence of InferenceResult
        Results of one star each, with the same parameters.
    parameter_names : sequence of str
        Names of the parameters if there is no star.

    Returns
    -------
    InferenceResult
        With an element for each star.
    """
    if len(results) == 0:
        return stack_results([_result_of_nothing(tuple(parameter_names))])[:0]
    stacked = {
        field.name: _stack([getattr(result, field.name) for result in results])
        for field in fields(InferenceResult)
    }
    return InferenceResult(**{**stacked, "parameter_names": results[0].parameter_names})


def _stack(values):
    """Return an array of numbers or of arrays, or a tuple of everything else."""
    if all(value is None for value in values):
        return None
    if isinstance(values[0], np.ndarray | np.bool_ | Number):
        return np.array(values)
    return tuple(values)


def _result_of_nothing(names):
    """Return a result without values, from which results of no star get shapes and types."""
    square = np.zeros((len(names), len(names)))
    return InferenceResult(
        parameter_names=names,
        parameters=np.zeros(len(names)),
        covariance=square,
        emulator_covariance=square,
        chi2=0.0,
        n_pixels=0,
        n_free=0,
        model=[],
        residual=[],
        continuum=[],
        flags=(),
        at_bound=(),
        n_evaluations=0,
        n_shared_evaluations=0,
        sigma_known=True,
        log_evidence=0.0,
    )


def one_result(result: InferenceResult) -> InferenceResult:
    """Return the result of the only star.

    Parameters
    ----------
    result : InferenceResult
        Of one star, or of a list of one star.

    Returns
    -------
    InferenceResult
        Of one star.

    Raises
    ------
    ValueError
        If there are several stars, or none.
    """
    shape = getattr(result, "shape", ())
    if shape == ():
        return result
    if shape != (1,):
        raise ValueError(
            f"result must be of one star, got a result of {len(result)} stars; choose one of "
            f"them, such as results[0]."
        )
    return result[0]
