"""Names that pipelines give to arrays of a spectrum, and what each of them means.

An array is recognised by its whole name, without regard to case, spaces and hyphens. A name that
is not listed here means nothing: it is for the user to say what the array is.
"""

import re
from dataclasses import dataclass

# Names of the flux; those of the second set count where none of the first is present.
FLUX = frozenset({
    "flux", "fluxes", "flux_density", "fluxdensity", "flux_lambda", "f_lambda", "flambda",
    "flam", "flx", "f", "spec", "spectrum", "intensity", "sci", "scidata", "sciflux",
})  # fmt: skip
OTHER_FLUX = frozenset({
    "normalized_flux", "normalised_flux", "norm_flux", "normflux", "flux_norm", "fluxnorm",
    "flux_normalized", "flux_normalised", "nflux", "relative_flux", "rel_flux", "flux_rel",
    "flux_reduced", "counts", "data",
})  # fmt: skip
SIGMA = frozenset({
    "sigma", "sig", "error", "errors", "err", "errs", "flux_error", "flux_errors", "flux_err",
    "fluxerror", "fluxerr", "error_flux", "err_flux", "e_flux", "eflux", "flux_sigma",
    "sigma_flux", "flux_unc", "flux_uncertainty", "uncertainty", "uncertainties", "uncert", "unc",
    "std", "stdev", "stddev", "flux_std", "errdata",
})  # fmt: skip
VARIANCE = frozenset({
    "variance", "var", "flux_var", "flux_variance", "fluxvariance", "var_flux", "fluxvar", "stat",
    "scivar",
})  # fmt: skip
IVAR = frozenset({
    "ivar", "invvar", "inv_var", "inverse_variance", "inverse_var", "inversevariance",
    "flux_ivar", "ivar_flux", "fluxivar",
})  # fmt: skip
# Words for errors in the names of arrays that belong to a certain flux.
_ERRORS = {
    "sigma": ("sigma", "sig", "error", "errors", "err", "unc", "uncertainty", "std", "stdev"),
    "variance": ("variance", "var"),
    "ivar": ("ivar", "invvar", "inverse_variance"),
}
# Errors divided by the flux.
RELATIVE = frozenset({"relative_error", "relative_sigma", "rel_error", "fractional_error"})
# Zero is good: flags, and bits of faults.
BAD_PIXELS = frozenset({
    "and_mask", "andmask", "dq", "dqflags", "quality", "qual", "quality_flag", "qualdata", "flag",
    "flags", "pixel_flags", "bitmask", "bad", "badpix", "bad_pixel", "bad_pixels", "badpixel",
    "bpm", "is_bad", "data_quality", "pixmask",
})  # fmt: skip
# Zero is bad.
GOOD_PIXELS = frozenset({
    "good", "goodpix", "good_pixel", "good_pixels", "goodpixel", "gpm", "is_good", "valid",
    "dq_wgt",
})  # fmt: skip
# Of either meaning.
MASK = frozenset({"mask", "masks", "pixel_mask", "flux_mask"})

# Names of a star: rows that differ in one of them are different stars.
STARS = frozenset({
    "source_id", "sobject_id", "targetid", "target_id", "sdss_id", "gaia_id", "obsid",
    "object_id", "star_id", "apogee_id", "kic", "tic", "object", "object_name", "star",
    "star_name", "starname", "target", "name", "designation", "id",
})  # fmt: skip
# What is an image of the same star, and not its flux.
NO_FLUX = frozenset({
    "cont", "continuum", "sky", "background", "bkg", "model", "template", "telluric", "blaze",
    "flat", "residual", "residuals", "weight", "weights", "snr", "raw", "dispersion",
})  # fmt: skip
# Arrays and extensions that nobody misses.
BOOKKEEPING = frozenset({
    "", "index", "level_0", "unnamed:_0", "pixel", "pix", "row", "or_mask", "ormask", "history",
    "info", "information", "log", "wave_grid_mid", "asdf", "primary", "comments", "checksum",
    "order", "orders", "ord", "segment", "chip",
})  # fmt: skip

_AXES = (
    "wavelengths?|waves?|lambdas?|lam|wl|wvl|wavel|wlen|wavelen|waveobs|wavedata|sciwave|wav"
)  # fmt: skip
_SCALES = {"log10": "log10", "log": "log10", "lg": "log10", "ln": "ln", "loge": "ln"}
_MEDIA = {"air": "air", "vac": "vacuum", "vacuum": "vacuum"}
_FRAMES = {"bary": "barycentre", "barycentric": "barycentre", "rest": "star", "restframe": "star"}
_UNITS = {
    "nm": "nm", "um": "um", "micron": "um", "microns": "um", "mum": "um", "a": "Angstrom",
    "aa": "Angstrom", "ang": "Angstrom", "angstrom": "Angstrom", "angstroms": "Angstrom",
}  # fmt: skip
_IGNORED = {"obs", "observed", "of", "in"}
_COMPACT = re.compile(
    rf"(?P<scale>log10|loge|log|lg|ln)?(?P<before>air|vacuum|vac)?(?P<axis>{_AXES})"
    rf"(?P<after>air|vacuum|vac)?"
)


def errors_of(key, role):
    """Return names of the errors of a certain flux: `normflux_err` is of `normflux`.

    Parameters
    ----------
    key : str
        Name of the flux, as from :func:`split_name`.
    role : {"sigma", "variance", "ivar", "relative"}
        What the errors are.

    Returns
    -------
    set of str
        Names.

    Examples
    --------
    >>> from skphx.datasets._spectrum_names import errors_of
    >>> {"counts_err", "e_counts", "dcounts"} <= errors_of("counts", "sigma")
    True
    >>> "err_reduced" in errors_of("flux_reduced", "sigma")
    True
    """
    if not key or role not in _ERRORS:
        return set()
    tokens = key.split("_")
    words = _ERRORS[role]
    found = {form for word in words for form in (f"{key}_{word}", f"{word}_{key}", key + word)}
    if role == "sigma":
        found |= {f"e_{key}", f"e{key}", f"d{key}"}
    for i, token in enumerate(tokens):
        if token in FLUX and len(tokens) > 1:
            found |= {"_".join([*tokens[:i], word, *tokens[i + 1 :]]) for word in words}
    return found


@dataclass(frozen=True)
class WavelengthName:
    """What the name of an array of wavelengths says."""

    medium: str | None = None
    scale: str = "linear"
    frame: str | None = None
    unit: str | None = None


def split_name(name):
    """Return the name in its usual form, and the unit in brackets that follows it, or None.

    Parameters
    ----------
    name : str
        Name of a column or extension.

    Returns
    -------
    key : str
        Lower case, with underscores for spaces and hyphens.
    unit : str or None
        Unit in brackets.

    Examples
    --------
    >>> from skphx.datasets._spectrum_names import split_name
    >>> split_name("Wavelength (nm)"), split_name("Flux-Err"), split_name("log(lambda)")
    (('wavelength', 'nm'), ('flux_err', None), ('log_lambda', None))
    """
    text = str(name).strip().replace("λ", "lambda").replace("σ", "sigma")
    found = re.fullmatch(r"(?s)([^\[(]+?)[\s_]*[\[(]\s*(.*?)\s*[\])]", text)
    unit = None
    if found:
        text, unit = found.groups()
        if text.lower() in _SCALES:
            text, unit = f"{text}_{unit}", None
    return re.sub(r"[\s\-./_]+", "_", text.lower()).strip("_"), unit or None


def wavelength_name(key):
    """Return what a name says about an array of wavelengths, or None if it names another thing.

    Parameters
    ----------
    key : str
        Name, as from :func:`split_name`.

    Returns
    -------
    WavelengthName or None
        Medium, scale, frame and unit, as far as the name states them.

    Examples
    --------
    >>> from skphx.datasets._spectrum_names import wavelength_name
    >>> wavelength_name("wavelength_air").medium, wavelength_name("loglam").scale
    ('air', 'log10')
    >>> wavelength_name("flux") is None
    True
    """
    if key == "awav":
        return WavelengthName(medium="air")
    said: dict[str, str] = {}
    rest: list[str] = []
    for token in key.split("_"):
        for what, words in (("medium", _MEDIA), ("frame", _FRAMES), ("scale", _SCALES)):
            if token in words:
                said[what] = words[token]
                break
        else:
            if token in _UNITS and rest:
                said["unit"] = _UNITS[token]
            elif token not in _IGNORED:
                rest.append(token)
    found = _COMPACT.fullmatch("".join(rest)) if len(rest) == 1 else None
    if found is None:
        return None
    if found["scale"]:
        said["scale"] = _SCALES[found["scale"]]
    if medium := found["before"] or found["after"]:
        said["medium"] = _MEDIA[medium]
    if found["axis"] == "wavedata":  # of ESO, which gives no unit
        said.setdefault("unit", "Angstrom")
    return WavelengthName(**said)
