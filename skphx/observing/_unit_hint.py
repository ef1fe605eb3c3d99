"""Wavelengths of spectrum and model that do not overlap, and the unit that would explain it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from skphx._domain import SPEED_OF_LIGHT_ANGSTROM

# Names of units, and Å of a value in this unit.
_UNITS: dict[str, Callable[[Any], Any]] = {
    "nm": lambda x: 10.0 * x,
    "µm": lambda x: 1e4 * x,
    "log10(Å)": lambda x: 10.0**x,
    "cm": lambda x: 1e8 * x,
    "m": lambda x: 1e10 * x,
    "ln(Å)": np.exp,
    "cm⁻¹": lambda x: 1e8 / x,
    "THz": lambda x: SPEED_OF_LIGHT_ANGSTROM / (1e12 * x),
    "GHz": lambda x: SPEED_OF_LIGHT_ANGSTROM / (1e9 * x),
    "Hz": lambda x: SPEED_OF_LIGHT_ANGSTROM / x,
}
# Stars of several segments are refused for one of them only if it is surely a mistake: other
# segments may be far from the model's wavelengths.
_SURE = ("nm", "µm", "log10(Å)")
_SHORTEST_PLAUSIBLE = 2000.0
# Part of the narrower range that two ranges must share to overlap.
_SHARED = 0.5


def check_overlap(ranges: list[tuple[float, float]], model: tuple[float, float]) -> None:
    """Raise if a spectrum, or one segment, is outside the model by a mistake of unit.

    Parameters
    ----------
    ranges : list of tuple (low, high)
        Range of each segment in Å.
    model : tuple (low, high)
        Range of the model in Å.

    Raises
    ------
    ValueError
        If no segment overlaps the model, or one of them would in another unit.
    """
    outside = [number for number, (a, b) in enumerate(ranges) if b < model[0] or a > model[1]]
    if len(outside) == len(ranges):
        whole = min(low for low, _ in ranges), max(high for _, high in ranges)
        raise ValueError(
            f"the model must cover the pixels of the spectrum, but it reaches from "
            f"{model[0]:.6g} to {model[1]:.6g} Å and the spectrum from {whole[0]:.6g} to "
            f"{whole[1]:.6g} Å. {unit_mistake(whole, model) or _CHECK}"
        )
    for number in outside:
        hint = unit_mistake(ranges[number], model, surely=True)
        if hint:
            raise ValueError(
                f"segment {number} of the spectrum runs from {ranges[number][0]:.6g} to "
                f"{ranges[number][1]:.6g} Å, and the model from {model[0]:.6g} to {model[1]:.6g} "
                f"Å. {hint} If they are right, leave this segment out."
            )


_CHECK = "Check the unit of both, Å, or use a model of these wavelengths."


def unit_mistake(
    observed: tuple[float, float], model: tuple[float, float], *, surely: bool = False
) -> str:
    """Return a sentence that names the unit in which two ranges would overlap.

    Parameters
    ----------
    observed, model : tuple (low, high)
        Ranges of wavelengths that do not overlap, taken as Å.
    surely : bool
        Whether to name only mistakes that no other spectrum can look like.

    Returns
    -------
    str
        The sentence; empty if there is no such unit.
    """
    if surely and observed[1] > _SHORTEST_PLAUSIBLE:
        return ""
    for unit in _SURE if surely else _UNITS:
        if _overlap(_in_angstrom(unit, observed), model):
            return (
                f"The wavelengths of the spectrum look like {unit}: convert them to Å, or give "
                f"them with their unit, as a Quantity of astropy."
            )
    if not surely:
        for unit in _SURE:
            if not _overlap(observed, _in_angstrom(unit, model)):
                continue
            if model[0] > _SHORTEST_PLAUSIBLE:
                return (
                    f"The wavelengths of the spectrum look like Å that were taken for {unit}: "
                    f"give them in Å."
                )
            return (
                f"The wavelengths of the model look like {unit}: fit it with wavelengths in Å, or "
                f"give those of the spectrum in {unit}."
            )
    return ""


def _in_angstrom(unit, limits):
    """Return a range in Å of a range in another unit."""
    with np.errstate(over="ignore"):
        ends = _UNITS[unit](np.array(limits))
    return float(ends.min()), float(ends.max())


def _overlap(one, other):
    """Whether two ranges share at least half of the narrower one."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return shared > _SHARED * min(one[1] - one[0], other[1] - other[0])
