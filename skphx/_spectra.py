"""Spectra as estimators take them: checked, and read row by row where they lie in a file.

A grid of a thousand full-band spectra is larger than the memory of many machines. Whoever holds
it in a file, mapped (`numpy.memmap`) or behind an object that reads rows when they are asked for
(h5py, zarr and their like), is asked for one row at a time.
"""

import numpy as np
from sklearn.utils.validation import validate_data

from skphx._units import check_flux

# Types that normalisers keep, so that grids of single precision stay small.
FLOATS = (np.float64, np.float32)

# Flux of which the median is above the first, or the maximum below the second, has a unit.
_TOO_BRIGHT, _TOO_FAINT = 100.0, 1e-3


class LazySpectra:
    """Rows of a two-dimensional source, each read and made float64 when it is asked for.

    Parameters
    ----------
    source : object
        Has `shape` of two numbers, and gives rows by ``source[k]``.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx._spectra import LazySpectra
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
        """Read one row after the other."""
        return (self[row] for row in range(len(self)))

    def __getitem__(self, key):
        """Read one row, or several by an array of their numbers."""
        if np.ndim(key):
            return np.array([self[int(row)] for row in key])
        return np.array(self.source[key], dtype=np.float64)


def is_lazy(X):
    """Whether spectra lie in a file from which they are better read row by row.

    Parameters
    ----------
    X : object
        What a user gave as spectra.

    Returns
    -------
    bool
        True for a two-dimensional memory map, and for any object with `shape`, `dtype` and
        indexing that is no array in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx._spectra import is_lazy
    >>> is_lazy(np.ones((2, 3)))
    False
    """
    if isinstance(X, np.ndarray) and not isinstance(X, np.memmap):
        return False
    readable = hasattr(X, "__getitem__") and len(getattr(X, "shape", ())) == 2
    # Sparse matrices have no rows of pixels; types of tensors have no kind.
    kind = getattr(getattr(X, "dtype", None), "kind", None)
    return readable and kind in ("f", "i", "u") and not hasattr(X, "toarray")


def validate_spectra(estimator, X, *, reset, dtype=np.float64, **options):
    """Check spectra as scikit-learn does, but tell where flux is not finite.

    Parameters
    ----------
    estimator : estimator
        Whose `n_features_in_` is set, or must fit.
    X : array-like of shape (n_spectra, n_pixels)
        Flux.
    reset : bool
        Whether `fit` is calling.
    dtype, **options
        See :func:`sklearn.utils.validation.validate_data`.

    Returns
    -------
    ndarray of shape (n_spectra, n_pixels)
        The spectra.

    Raises
    ------
    ValueError
        If shape or values are wrong.
    """
    if np.ma.is_masked(X):
        raise ValueError(
            f"X must hold flux at every pixel, but {np.ma.count_masked(X)} of its {X.size} pixels "
            f"are masked, and a mask would be lost; leave these spectra out, or interpolate over "
            f"the masked pixels first."
        )
    X = validate_data(estimator, X, reset=reset, dtype=dtype, ensure_all_finite=False, **options)
    # A sum tells in one pass and without a copy; only where it is odd all pixels are looked at.
    with np.errstate(all="ignore"):
        odd = np.flatnonzero(~np.isfinite([flux.sum() for flux in X]))
    for row in odd:
        check_finite(row, X[row])
    return X


def validate_normalised(estimator, X, *, reset):
    """Check normalised spectra, of which those in a file are read row by row.

    Parameters
    ----------
    estimator : estimator
        Whose `n_features_in_` is set, or must fit.
    X : array-like of shape (n_spectra, n_pixels), or lazy
        Normalised flux, dimensionless.
    reset : bool
        Whether `fit` is calling.

    Returns
    -------
    ndarray of shape (n_spectra, n_pixels), float64, or LazySpectra
        The spectra.

    Raises
    ------
    ValueError
        If shape or values are wrong, or a continuum cannot be about 1.
    """
    if is_lazy(X):
        # All that concerns the shape shows in the first row.
        validate_spectra(estimator, np.asarray(X[:1]), reset=reset)
        X = LazySpectra(X)
    else:
        X = validate_spectra(estimator, X, reset=reset)
    # A single pixel holds no line, whatever its level.
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
    """Refuse a spectrum with pixels that are no numbers.

    Parameters
    ----------
    row : int
        Number of the spectrum, for the message.
    flux : ndarray of shape (n_pixels,)
        Its flux.
    name : str
        Name of the argument that holds it, for the message.

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
    """Refuse spectra in a unit of flux, and negative ones.

    Parameters
    ----------
    spectra : ndarray of shape (n_spectra, n_pixels)
        What should be normalised flux; single pixels pass, for they hold no line.
    name : str
        Name of the argument that holds them, for the message.

    Raises
    ------
    ValueError
        If a spectrum cannot have a continuum of about 1.
    """
    if spectra.shape[1] < 2:
        return
    for row, flux in enumerate(spectra):
        _check_row_level(row, flux, name)
    check_flux(spectra, name=name)


def _check_row_level(row, flux, name):
    """Refuse a spectrum in a unit of flux: its continuum is far from 1."""
    level, highest = np.median(flux), flux.max()
    if level > _TOO_BRIGHT or 0 < highest < _TOO_FAINT:
        raise ValueError(
            f"{name} must hold normalised flux with a continuum about 1, but spectrum {row} has a "
            f"median of {level:.3g} and a maximum of {highest:.3g}; divide it by its continuum "
            f"first, for instance with PercentileNormalizer and ContinuumNormalizer."
        )
