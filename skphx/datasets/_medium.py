"""The medium of wavelengths, from a file or library and from the user."""

from typing import Any, Literal

from skphx._domain import check_medium

Medium = Literal["air", "vacuum"]


def agreed_medium(source: str, stated: Any, given: Any) -> Medium:
    """Return the medium of wavelengths, which must be stated or given, and the same if both are.

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
        If the medium is unknown, or the two differ.

    Examples
    --------
    >>> from skphx.datasets._medium import agreed_medium
    >>> agreed_medium("grid.npz", None, "air")
    'air'
    >>> agreed_medium("grid.npz", "vacuum", "air")
    Traceback (most recent call last):
        ...
    ValueError: medium='air' was given, but the wavelengths of grid.npz are in vacuum: ...
    """
    check_medium(given)
    check_medium(stated, name=f"medium of {source}", required=stated is not None)
    if stated is None and given is None:
        raise ValueError(
            f"{source} does not say whether its wavelengths are in air or vacuum: pass "
            f"medium='air' or medium='vacuum'."
        )
    if None not in (stated, given) and stated != given:
        raise ValueError(
            f"medium={given!r} was given, but the wavelengths of {source} are in {stated}: leave "
            f"medium out; air_to_vacuum and vacuum_to_air of skphx.observing convert wavelengths."
        )
    return given if stated is None else stated
