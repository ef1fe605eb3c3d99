"""Wavelengths in air and in vacuum.

========== ====== ===========================================
quantity   unit   meaning
========== ====== ===========================================
wavelength Å      wavelength in the medium of the function's name
n          1      refractive index of standard air
========== ====== ===========================================
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skphx._domain import check_medium, check_wavelength

# Air is opaque below 2000 Å, and wavelengths are given in vacuum by convention.
_SHORTEST_IN_AIR = 2000.0


def _refractive_index(vacuum):
    """Return the refractive index of standard air at vacuum wavelengths in Å."""
    wavenumber2 = (1e4 / vacuum) ** 2
    refractivity = 5792105e-8 / (238.0185 - wavenumber2) + 167917e-8 / (57.362 - wavenumber2)
    return 1.0 + refractivity


def vacuum_to_air(wavelength: ArrayLike) -> NDArray[np.float64]:
    """Convert vacuum wavelengths to wavelengths in standard air.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,)
        In vacuum, Å, strictly increasing.

    Returns
    -------
    ndarray of shape (n_pixels,)
        In air, Å; wavelengths below 2000 Å are not changed, by convention.

    Raises
    ------
    ValueError
        If wavelengths are not positive, finite and increasing.

    References
    ----------
    Ciddor (1996), Applied Optics 35, 1566: air at 15 °C, 101,325 Pa, dry, 450 ppm CO2.

    Examples
    --------
    >>> from skphx.observing import vacuum_to_air
    >>> vacuum_to_air([5000.0, 8544.44]).round(3)
    array([4998.606, 8542.093])
    """
    vacuum = check_wavelength(wavelength)
    index = np.ones_like(vacuum)
    convert = vacuum >= _SHORTEST_IN_AIR
    index[convert] = _refractive_index(vacuum[convert])
    return vacuum / index


def air_to_vacuum(wavelength: ArrayLike) -> NDArray[np.float64]:
    """Convert wavelengths in standard air to vacuum wavelengths; inverse of `vacuum_to_air`.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,)
        In air, Å, strictly increasing.

    Returns
    -------
    ndarray of shape (n_pixels,)
        In vacuum, Å; wavelengths below 2000 Å are not changed.

    Raises
    ------
    ValueError
        If wavelengths are not positive, finite and increasing.

    References
    ----------
    Ciddor (1996), Applied Optics 35, 1566.

    Examples
    --------
    >>> from skphx.observing import air_to_vacuum, vacuum_to_air
    >>> air_to_vacuum([8542.09]).round(2)
    array([8544.44])
    >>> air_to_vacuum(vacuum_to_air([5000.0])).round(9)
    array([5000.])
    """
    air = check_wavelength(wavelength)
    vacuum = air.copy()
    convert = air >= _SHORTEST_IN_AIR
    # The index changes by 1e-9 per Å, so each iteration adds eight digits.
    for _ in range(3):
        vacuum[convert] = air[convert] * _refractive_index(vacuum[convert])
    return vacuum


def to_medium(
    wavelength: NDArray[np.float64],
    medium: Literal["air", "vacuum"] | None,
    target: Literal["air", "vacuum"] | None,
    *,
    name: str = "wavelength",
) -> NDArray[np.float64]:
    """Convert wavelengths to the emulator's medium.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        In `medium`, Å.
    medium, target : {"air", "vacuum"} or None
        Medium of the wavelengths and of the emulator; both or neither must be known.
    name : str
        Owner of the wavelengths, for the message.

    Returns
    -------
    ndarray of shape (n_pixels,)
        In `target`, Å.

    Raises
    ------
    ValueError
        If a medium is neither "air", "vacuum" nor None, or only one of the two is known.
    """
    for owner, value in ((name, medium), ("the emulator", target)):
        check_medium(value, name=f"medium of {owner}")
    if medium == target:
        return wavelength
    if medium is None:
        raise ValueError(
            f"{name} does not say whether its wavelengths are in air or vacuum, but those of the "
            f"emulator are in {target}; pass medium='air' or medium='vacuum'."
        )
    if target is None:
        raise ValueError(
            f"{name} is in {medium}, but the emulator's medium is unknown; say whether the "
            f"emulator's wavelengths are in air or vacuum: make_stellar_estimator(..., "
            f"medium='vacuum'), or estimator.set_params(emulator__medium='vacuum') before fit."
        )
    return vacuum_to_air(wavelength) if target == "air" else air_to_vacuum(wavelength)
