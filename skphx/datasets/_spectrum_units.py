"""Units of wavelengths and flux, as files write them."""

import re

import numpy as np

from skphx.datasets._spectrum_request import NoSpectrumError

# Wavelengths of stellar spectra, Å: outside, a unit or a logarithm is misunderstood.
LOWEST, HIGHEST = 500.0, 600_000.0
# Hydrogen between the stars absorbs nearly all light of shorter wavelengths, Å: numbers of
# spectra that end there are more likely nm.
_LYMAN_LIMIT = 912.0
# Bad pixels have wavelengths far from all others: those that follow on at a smaller ratio are
# the rest of an axis that is read in the wrong unit.
_FOLLOWS_ON = 1.05

# "A" is the ampere of the FITS standard, and the ångström of many files.
_LENGTHS = {
    **dict.fromkeys(
        ("a", "aa", "å", "ang", "angs", "angstroem", "ångström", "ångstrom", "angström"),
        "Angstrom",
    ),
    **dict.fromkeys(("µm", "μm", "mum", "micrometre", "micrometres", "microns"), "um"),
    **dict.fromkeys(("nanometre", "nanometres"), "nm"),
}
_LOGARITHM = re.compile(r"(?i)(log10|loge|log|lg|ln|dex)[\s_(\[]+(.*?)[\s)\]]*")


def parse_length(text):
    """Return a unit of wavelengths, and whether they are a logarithm of it.

    Parameters
    ----------
    text : str or astropy unit
        The unit, such as "nm", "ANGSTROMS" or "log10(Angstrom)".

    Returns
    -------
    unit : astropy unit or None
        None if it is unknown.
    scale : {"linear", "log10", "ln"}
        The scale.

    Examples
    --------
    >>> from skphx.datasets._spectrum_units import parse_length
    >>> parse_length("ANGSTROMS"), parse_length("log10(nm)")
    ((Unit("Angstrom"), 'linear'), (Unit("nm"), 'log10'))
    """
    from astropy import units

    if isinstance(text, units.function.FunctionUnitBase):
        return text.physical_unit, "log10"
    if isinstance(text, units.UnitBase):
        return text, "linear"
    text = str(text).strip()
    found = _LOGARITHM.fullmatch(text)
    if found:
        scale = "ln" if found[1].lower() in ("ln", "loge") else "log10"
        return parse_length(found[2])[0], scale
    lowered = text.lower()
    for name in (_LENGTHS.get(lowered.rstrip(".")), text, lowered, lowered.rstrip("s")):
        unit = parse_plain(name)
        if unit is not None:
            return unit, "linear"
    return None, "linear"


def parse_flux(text):
    """Return the unit of flux, or None if astropy does not know it.

    Parameters
    ----------
    text : str, astropy unit or None
        The unit, such as "1E-17 erg/cm^2/s/Ang".

    Returns
    -------
    astropy unit or None
        The unit.

    Examples
    --------
    >>> from skphx.datasets._spectrum_units import parse_flux
    >>> parse_flux("1E-17 erg/cm^2/s/Ang")
    Unit("1e-17 erg / (Angstrom s cm2)")
    """
    if text is None or not isinstance(text, str):
        return text
    text = re.sub(r"(?<![A-Za-z])(?:A|Ang|Angstroms|Å)(?![A-Za-z])", "Angstrom", text.strip())
    text = re.sub(r"\b10\^\(?([-+]?\d+)\)?", r"1e\1", text)
    text = re.sub(r"\bergs\b", "erg", text)
    text = re.sub(r"^(1[eE][-+]?\d+)\s*\*?\s*", lambda found: f"{found[1].lower()} ", text)
    words = re.fullmatch(r"[A-Za-z]+ \((.*)\)", text)
    return parse_plain(text) if text else None if words is None else parse_plain(words[1])


def parse_plain(text):
    """Return a unit as astropy reads it, or None.

    Parameters
    ----------
    text : str or None
        The unit.

    Returns
    -------
    astropy unit or None
        None if astropy does not know it.
    """
    import warnings

    from astropy import units

    if not text:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", units.UnitsWarning)
        try:
            unit = units.Unit(text, parse_strict="silent")
        except (ValueError, TypeError):
            return None
    return None if isinstance(unit, units.UnrecognizedUnit) else unit


def agreed_unit(stated, scale, request):
    """Return unit and scale of wavelengths; what the user says wins, with a warning.

    Parameters
    ----------
    stated : str, astropy unit or None
        Unit in the file.
    scale : {"linear", "log10", "ln"}
        Scale in the file.
    request : Request
        What the user says; warnings go to its notes.

    Returns
    -------
    unit : astropy unit
        A unit of length.
    scale : {"linear", "log10", "ln"}
        The scale.

    Raises
    ------
    NoSpectrumError
        If the unit is unknown, or is not a length.
    """
    from astropy import units

    given = request.wavelength_unit
    known, known_scale = (None, "linear") if stated is None else parse_length(stated)
    if known_scale != "linear":
        scale = known_scale
    if known is not None and known.is_equivalent(units.dimensionless_unscaled):
        known = None
    if given is not None:
        unit, given_scale = parse_length(given)
        if unit is None or not unit.is_equivalent(units.AA):
            raise NoSpectrumError(
                f"cannot have wavelengths in {given}, which is not a unit of length: pass "
                f"wavelength_unit='Angstrom', 'nm', 'um' or 'log10(Angstrom)'."
            )
        if known is not None and known != unit:
            request.notes.append(
                f"says that its wavelengths are in {stated}; they are read in {given}, as "
                f"wavelength_unit says."
            )
        return unit, given_scale if given_scale != "linear" else scale
    if known is None and scale != "linear":
        return units.AA, scale
    if known is None:
        said = f" (it says {stated!r})" if stated is not None and str(stated).strip() else ""
        raise NoSpectrumError(
            f"does not say the unit of its wavelengths{said}: pass wavelength_unit, such as "
            f"'Angstrom' or 'nm'."
        )
    if not known.is_equivalent(units.AA):
        raise NoSpectrumError(
            f"has wavelengths in {known}, which is not a unit of length: pass wavelength_unit if "
            f"that is wrong, or convert them to wavelengths."
        )
    return known, scale


def to_angstrom(values, stated, scale, request):
    """Return wavelengths in Å; NaN where there is none.

    Parameters
    ----------
    values : array of shape (n_pixels,) or (n_rows, n_pixels)
        Wavelengths, or logarithms of them. Zero, negative and non-finite values are padding.
    stated, scale, request : object
        As for :func:`agreed_unit`.

    Returns
    -------
    ndarray, float64
        Wavelengths in Å.

    Raises
    ------
    NoSpectrumError
        If the unit is unknown, or the wavelengths are none of a star.
    """
    from astropy import units

    unit, scale = agreed_unit(stated, scale, request)
    values = np.array(values, dtype=np.float64)
    values[~(np.isfinite(values) & (values > 0))] = np.nan
    with np.errstate(over="ignore", invalid="ignore"):
        powers = {"linear": values, "log10": 10.0**values, "ln": np.exp(values)}[scale]
        wavelength = powers * unit.to(units.AA)
    name = f"{scale}({unit})" if scale != "linear" else str(unit)
    check_plausible(wavelength, values, name, request)
    return wavelength


def check_plausible(wavelength, values, unit, request):
    """Raise unless most wavelengths are those of a star; the few others become NaN.

    Parameters
    ----------
    wavelength : ndarray
        Wavelengths in Å; NaN is padding. Where at least half are plausible and the others are far
        from them, the others are bad pixels, and are set to NaN here.
    values : ndarray
        The same as they are in the file.
    unit : str
        Unit in which they were read.
    request : Request
        What the user says: `wavelength_unit`. How many are bad pixels goes to its notes.

    Raises
    ------
    NoSpectrumError
        If most are below 500 Å or above 60 µm, or the axis goes on beyond these limits, or all
        are below 912 Å and the user does not say the unit; the message says what they look like.
    """
    good = np.isfinite(values)
    if not good.any():
        raise NoSpectrumError(
            "has no wavelengths: all are zero, negative or NaN. Pass wavelength= with the array "
            "that holds them."
        )
    plausible = good & (wavelength >= LOWEST) & (wavelength <= HIGHEST)
    n_good, n_bad = int(good.sum()), int((good & ~plausible).sum())
    if 2 * n_bad <= n_good:
        known, others = wavelength[plausible], wavelength[good & ~plausible]
        low, high = float(known.min()), float(known.max())
        is_ultraviolet = high < _LYMAN_LIMIT and request.wavelength_unit is None
        follows = (others * _FOLLOWS_ON > low) & (others < high * _FOLLOWS_ON)
        if not is_ultraviolet and not follows.any():
            if n_bad:
                request.notes.append(
                    f"has {n_bad} of {n_good} wavelengths outside {LOWEST:g} to {HIGHEST:g} Å; "
                    f"they are masked."
                )
                wavelength[good & ~plausible] = np.nan
            return
    low, high = float(wavelength[good].min()), float(wavelength[good].max())
    values = values[good]
    likely = _what_they_look_like(values)
    remedy = (
        f"They look like {likely[0]}: pass wavelength_unit={likely[1]!r}"
        if likely
        else "Pass wavelength_unit, or the array of wavelengths, wavelength="
    )
    if "(" in unit and not (likely and likely[0].startswith(("log", "ln"))):
        remedy = f"Rename the array, if its name says wrongly that it holds logarithms. {remedy}"
    raise NoSpectrumError(
        f"has wavelengths from {low:.6g} to {high:.6g} Å if its values, {values.min():.6g} to "
        f"{values.max():.6g}, are in {unit}; spectra of stars are between {LOWEST:g} and "
        f"{HIGHEST:g} Å, and nearly all reach beyond {_LYMAN_LIMIT:g} Å. {remedy}."
    )


def _what_they_look_like(values):
    """Text and unit for values that would be plausible in another unit, or None."""
    low, high = values.min(), values.max()
    steps = np.diff(values)
    if len(steps) and low in (0.0, 1.0) and np.all(steps == 1.0):
        return None  # numbers of pixels
    # The narrower range of a stellar spectrum that is likely: 0.1 to 30 µm.
    candidates = (
        ("log10(Å)", "log10(Angstrom)", lambda x: 10.0**x if x < 10 else np.inf),
        ("Å", "Angstrom", lambda x: x),
        ("ln(Å)", "ln(Angstrom)", lambda x: np.exp(x) if x < 20 else np.inf),
        ("nm", "nm", lambda x: 10.0 * x),
        ("µm", "um", lambda x: 1e4 * x),
        ("metres", "m", lambda x: 1e10 * x),
    )
    for text, unit, convert in candidates:
        if convert(low) >= 1000.0 and convert(high) <= 300_000.0:
            return text, unit
    return None
