"""The medium of wavelengths, from a file or library and from the user."""

import warnings
from typing import Any, Literal

from skphx._domain import check_medium

Medium = Literal["air", "vacuum"]


def agreed_medium(source: str, stated: Any, given: Any) -> Medium:
    """Return the medium of wavelengths, which must be stated or given; what is given wins.

    Parameters
    ----------
    source : str
        Name of the file or library, for the messages.
    stated : str or None
        Medium that the file or library states.
    given : str or None
        Argument `medium` of the user.

    Returns
    -------
    {"air", "vacuum"}
        The medium.

    Raises
    ------
    ValueError
        If the medium is unknown.

    Warns
    -----
    UserWarning
        If the two differ.

    Examples
    --------
    >>> from skphx.datasets._medium import agreed_medium
    >>> agreed_medium("grid.npz", None, "air")
    'air'
    >>> agreed_medium("grid.npz", None, None)
    Traceback (most recent call last):
        ...
    ValueError: grid.npz does not say whether its wavelengths are in air or vacuum: ...
    """
    check_medium(given)
    check_medium(stated, name=f"medium of {source}", required=stated is not None)
    if stated is None and given is None:
        raise ValueError(
            f"{source} does not say whether its wavelengths are in air or vacuum: pass "
            f"medium='air' or medium='vacuum'."
        )
    if None not in (stated, given) and stated != given:
        warnings.warn(
            f"{source} says that its wavelengths are in {stated}; they are taken to be in "
            f"{given}, as medium={given!r} says. To convert them, use air_to_vacuum or "
            f"vacuum_to_air of skphx.observing.",
            UserWarning,
            stacklevel=3,
        )
    return stated if given is None else given
