"""Checks of the spectra that estimators get, and row by row reading of spectra in files.

A grid of a thousand full-band spectra is larger than the memory of many machines. Spectra in a
file are therefore read one row at a time, if X is a memory map (`numpy.memmap`) or an object that
reads rows on demand, such as a data set of h5py or an array of zarr.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data

from skphx._domain import check_flux
from skphx._plain import MASKED_FLUX, plain_numbers

# Types that the normalisers do not convert: grids in single precision need half the memory.
FLOATS = (np.float64, np.float32)

# Flux with a median above the first value, or a maximum below the second, is not normalised.
_TOO_BRIGHT, _TOO_FAINT = 100.0, 1e-3


class LazySpectra:
    """Rows of a two-dimensional source, each read and converted to float64 on demand.

    Parameters
    ----------
    source : object
        Has a `shape` of two numbers; ``source[k]`` reads row k.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx._input_spectra import LazySpectra
    >>> spectra = LazySpectra(np.arange(6, dtype=np.float32).reshape(3, 2))
    >>> spectra.shape, spectra[1], spectra[np.array([2, 0])].shape
    ((3, 2), array([2., 3.]), (2, 2))
    """

    def __init__(self, source):
        self.source = source
        self.shape = tuple(int(n) for n in source.shape)

    def __len__(self):
        """Return the number of spectra."""
        return self.shape[0]

    def __iter__(self):
        """Iterate over the rows; each is read on demand."""
        return (self[row] for row in range(len(self)))

    def __getitem__(self, key):
        """Read one row, or the rows of an array of row numbers."""
        if np.ndim(key):
            return np.array([self[int(row)] for row in key])
        return np.array(self.source[key], dtype=np.float64)


def is_lazy(X):
    """Whether spectra are stored in a file, and have to be read row by row.

    Parameters
    ----------
    X : object
        The spectra, as given by the user.

    Returns
    -------
    bool
        True for a two-dimensional memory map, and for any other object with `shape`, `dtype`
        and indexing that is not an array in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx._input_spectra import is_lazy
    >>> is_lazy(np.ones((2, 3)))
    False
    """
    if isinstance(X, np.ndarray) and not isinstance(X, np.memmap):
        return False
    readable = hasattr(X, "__getitem__") and len(getattr(X, "shape", ())) == 2
    # Sparse matrices are refused later; the dtype of a torch tensor has no kind.
    kind = getattr(getattr(X, "dtype", None), "kind", None)
    return readable and kind in ("f", "i", "u") and not hasattr(X, "toarray")


def validate_spectra(
    estimator: Any, X: Any, *, reset: bool, dtype: Any = np.float64, **options: Any
) -> NDArray[np.floating]:
    """Check spectra as scikit-learn does; an error names the pixel that is not finite.

    Parameters
    ----------
    estimator : estimator
        Estimator whose `n_features_in_` is set, or compared with X.
    X : array-like of shape (n_spectra, n_pixels)
        Flux.
    reset : bool
        Whether to set `n_features_in_`, as in `fit`.
    dtype, **options
        See :func:`sklearn.utils.validation.validate_data`.

    Returns
    -------
    ndarray of shape (n_spectra, n_pixels)
        The spectra.

    Raises
    ------
    ValueError
        If the shape or a value is not valid, a pixel is masked, or the spectra have a unit.
    """
    X = plain_flux(X)
    X = validate_data(estimator, X, reset=reset, dtype=dtype, ensure_all_finite=False, **options)
    # The sum of a spectrum is finite if all pixels are, and needs no copy; overflow is possible,
    # so the pixels are checked only where the sum is not finite.
    with np.errstate(all="ignore"):
        odd = np.flatnonzero(~np.isfinite([flux.sum() for flux in X]))
    for row in odd:
        check_finite(row, X[row])
    return X


def plain_flux(X: Any, *, name: str = "X") -> Any:
    """Return spectra without masks and units, which NumPy would drop silently.

    Parameters
    ----------
    X : array-like
        Flux.
    name : str
        Name of the argument, for the message.

    Returns
    -------
    object
        The same, or an ndarray if it is a dimensionless Quantity.

    Raises
    ------
    ValueError
        If a pixel is masked, or the flux has a unit.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx._input_spectra import plain_flux
    >>> plain_flux(np.ma.masked_less([[1.0, 0.1]], 0.5))
    Traceback (most recent call last):
        ...
    ValueError: X must hold flux at every pixel, but 1 of its 2 pixels are masked, ...
    """
    return plain_numbers(X, name, what="flux", remedy=MASKED_FLUX)


def validate_normalised(estimator, X, *, reset):
    """Check normalised spectra; spectra in a file are read row by row.

    Parameters
    ----------
    estimator : estimator
        Estimator whose `n_features_in_` is set, or compared with X.
    X : array-like of shape (n_spectra, n_pixels), or lazy
        Normalised flux, dimensionless.
    reset : bool
        Whether to set `n_features_in_`, as in `fit`.

    Returns
    -------
    ndarray of shape (n_spectra, n_pixels), float64, or LazySpectra
        The spectra.

    Raises
    ------
    ValueError
        If the shape or a value is not valid, or a continuum is far from 1.
    """
    X = plain_flux(X)
    if is_lazy(X):
        # The first row is enough to check shape and type.
        validate_spectra(estimator, np.asarray(X[:1]), reset=reset)
        X = LazySpectra(X)
    else:
        X = validate_spectra(estimator, X, reset=reset)
    # A spectrum of one pixel has no continuum level to check.
    is_spectrum = X.shape[1] > 1
    for row, flux in enumerate(X):
        if isinstance(X, LazySpectra):
            check_finite(row, flux)
        if is_spectrum:
            _check_row_level(row, flux, "X")
    if is_spectrum:
        check_flux(X)
    return X


def check_finite(row, flux, *, name="X"):
    """Refuse a spectrum with NaN or infinite pixels.

    Parameters
    ----------
    row : int
        Number of the spectrum, for the message.
    flux : ndarray of shape (n_pixels,)
        Its flux.
    name : str
        Name of the argument, for the message.

    Raises
    ------
    ValueError
        If a pixel is NaN or infinite.
    """
    bad = np.flatnonzero(~np.isfinite(flux))
    if len(bad) == 0:
        return
    what = "NaN" if np.isnan(flux[bad[0]]) else "infinity"
    raise ValueError(
        f"{name} contains {what}: every flux must be finite, but {len(bad)} of the {len(flux)} "
        f"pixels of spectrum {row} are not, the first is pixel {bad[0]}. Leave the spectrum out, "
        f"or interpolate over these pixels first."
    )


def check_level(spectra, *, name="X"):
    """Refuse spectra that are not normalised, and negative ones.

    Parameters
    ----------
    spectra : ndarray of shape (n_spectra, n_pixels)
        Flux that has to be normalised; spectra of one pixel are not checked.
    name : str
        Name of the argument, for the message.

    Raises
    ------
    ValueError
        If the continuum of a spectrum is far from 1.
    """
    if spectra.shape[1] < 2:
        return
    for row, flux in enumerate(spectra):
        _check_row_level(row, flux, name)
    check_flux(spectra, name=name)


def _check_row_level(row, flux, name):
    """Refuse a spectrum whose continuum is far from 1."""
    level, highest = np.median(flux), flux.max()
    if level > _TOO_BRIGHT or 0 < highest < _TOO_FAINT:
        raise ValueError(
            f"{name} must hold normalised flux with a continuum of 1, but spectrum {row} has a "
            f"median of {level:.3g} and a maximum of {highest:.3g}; divide it by its continuum "
            f"first, for instance with PercentileNormalizer and ContinuumNormalizer."
        )
