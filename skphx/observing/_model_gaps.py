"""Gaps in the wavelengths of a model."""

import numpy as np

# A step is a gap if it exceeds both steps beside it, and the median step, by this factor.
_GAP = 20.0


def model_gaps(wavelength):
    """Return the gaps in wavelengths, such as those between spectral ranges that were joined.

    Parameters
    ----------
    wavelength : ndarray of shape (n_samples,)
        Wavelengths of the model in Å.

    Returns
    -------
    ndarray of shape (n_gaps, 2)
        Last wavelength before each gap and first one after it.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.observing._model_gaps import model_gaps
    >>> model_gaps(np.r_[8500.0:8510.0:0.1, 8540.0:8550.0:0.1]).round(1)
    array([[8509.9, 8540. ]])
    """
    steps = np.diff(wavelength) / wavelength[:-1]
    if len(steps) < 3:
        return np.empty((0, 2))
    beside = np.maximum(np.append(0.0, steps[:-1]), np.append(steps[1:], 0.0))
    is_gap = steps > _GAP * np.maximum(beside, np.median(steps))
    return np.column_stack([wavelength[:-1][is_gap], wavelength[1:][is_gap]])
