"""Named arrays of a file: how pipelines write a spectrum, and what may be wrong with that."""

from dataclasses import dataclass, field

import numpy as np
from astropy import units

from fuzzing.observed import Case, random_spectrum, some

LENGTHS = {"Angstrom": 1.0, "nm": 10.0, "um": 1e4, "ANGSTROMS": 1.0, "A": 1.0, "micron": 1e4}
_LINEAR = ["wavelength", "WAVE", "Lambda", "wl", "WAVELENGTH", "lam", "wave obs", "wavelengths"]
_MEDIA = {"wavelength_air": "air", "wave_vac": "vacuum", "Wavelength-Vacuum": "vacuum"}
_LOGS = {"loglam": 10.0, "LOG_LAMBDA": 10.0, "loglambda": 10.0, "ln_wave": np.e}
FLUX = ["flux", "FLUX", "Flux", "f_lambda", "flux density", "spec", "FLUX_REDUCED", "intensity"]
ERRORS = {
    "sigma": ["error", "ERR", "sigma", "flux_error", "e_flux", "Uncertainty", "flux-err"],
    "variance": ["variance", "VAR", "flux_var"],
    "ivar": ["ivar", "IVAR", "inverse variance", "flux_ivar"],
    "relative": ["relative_error"],
}
BAD = ["dq", "QUALITY", "flags", "bad_pixel", "and_mask", "QUAL"]
GOOD = ["good", "VALID", "gpm"]
UNITS = [None, None, "", "erg / (s cm2 Angstrom)", "1e-17 erg / (s cm2 Angstrom)", "Jy", "count",
         "W / (m2 um)"]  # fmt: skip
# Of errors, beside flux in another one.
_OTHER_UNITS = {
    "Jy": "mJy",
    "erg / (s cm2 Angstrom)": "1e-17 erg / (s cm2 Angstrom)",
    "W / (m2 um)": "erg / (s cm2 Angstrom)",
}
_DECOYS = ["continuum", "sky", "model", "snr", "weight", "telluric", "airmass", "order", "wdisp",
           "pixel", "raw", "blaze"]  # fmt: skip
_UNKNOWN = ["value1", "col7", "xyz", "fluxity", "ordinate", "signal_of_star", "Ã©", "q"]


@dataclass
class Column:
    """One array of a file, of the shape (n_orders, n_pixels)."""

    role: str
    name: str
    values: np.ndarray
    unit: str | None = None


@dataclass
class Sheet:
    """Columns, keywords, and the case that they make."""

    case: Case
    columns: list
    header: dict = field(default_factory=dict)
    rng: np.random.Generator | None = None

    def of(self, role):
        """Return the column of a role, or None."""
        return next((one for one in self.columns if one.role == role), None)


def random_sheet(rng, kind, **drawn):
    """Draw a spectrum, spoil some of its pixels, and give its arrays names and units.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of random numbers.
    kind : str
        Kind of the file, for the table.
    **drawn
        As for `random_spectrum`.

    Returns
    -------
    Sheet
        The sheet.
    """
    spectrum = random_spectrum(rng, **drawn)
    case = Case(kind, b"", {}, spectrum)
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 3))):
            _spoil(rng, case)
    return Sheet(case, _present(rng, case), rng=rng)


def _spoil(rng, case):
    """Put odd values into a spectrum that a file may well hold."""
    spectrum = case.spectrum
    n = spectrum.flux.shape[1]
    order = int(rng.integers(len(spectrum.flux)))
    where = some(rng, n)
    what = str(rng.choice(["nan flux", "negative flux", "huge flux", "flagged", "bad sigma",
                           "padded", "hole", "zero flux"]))  # fmt: skip
    if what == "nan flux":
        spectrum.flux[order, where] = rng.choice([np.nan, np.inf, -np.inf], len(where))
    elif what == "negative flux":
        spectrum.flux[order, where] *= -1
    elif what == "huge flux":
        spectrum.flux[order, where] *= 1e6
    elif what == "zero flux":
        spectrum.flux[order, where] = 0.0
    elif what == "flagged":
        spectrum.flagged[order, where] = True
    elif what == "bad sigma" and spectrum.sigma is not None:
        spectrum.sigma[order, where] = rng.choice([np.nan, 0.0, -1.0, np.inf], len(where))
    elif what in ("padded", "hole") and n > 10:
        n_bad = int(rng.integers(1, n // 3))
        first = {"padded": int(rng.choice([0, n - n_bad])), "hole": int(rng.integers(n - n_bad))}
        where = slice(first[what], first[what] + n_bad)
        spectrum.wavelength[order, where] = rng.choice([np.nan, 0.0, -1.0, np.inf])
        spectrum.flux[order, where] = rng.choice([np.nan, 0.0, 1.0])
    else:
        return
    case.tell(what)


def _present(rng, case):
    """Return columns of a spectrum with names and units as pipelines give them."""
    spectrum = case.spectrum
    columns = [_axis(rng, case)]
    spectrum.unit = UNITS[int(rng.integers(len(UNITS)))]
    # Converted flux needs wavelengths.
    columns.append(Column("flux", str(rng.choice(FLUX)), spectrum.flux.copy(), spectrum.unit))
    if spectrum.sigma is not None:
        columns.append(_errors(rng, spectrum))
    if spectrum.flagged.any() or rng.random() < 0.3:
        columns.append(_mask(rng, case))
    return columns


def _axis(rng, case):
    spectrum, draw = case.spectrum, rng.random()
    medium = str(rng.choice(["air", "vacuum"]))
    if draw < 0.6:
        name = str(rng.choice(_LINEAR))
    elif draw < 0.75:
        name = str(rng.choice(list(_MEDIA)))
        medium = _MEDIA[name]
    else:
        name = str(rng.choice(list(_LOGS)))
        base = _LOGS[name]
        usable = np.isfinite(spectrum.wavelength) & (spectrum.wavelength > 0)
        values = spectrum.wavelength.copy()
        values[usable] = np.log(spectrum.wavelength[usable]) / np.log(base)
        case.call["medium"] = spectrum.medium = medium
        if rng.random() < 0.5:
            case.call["wavelength_unit"] = "Angstrom"
        return Column("wavelength", name, values)
    spectrum.medium = medium
    if name not in _MEDIA or rng.random() < 0.3:
        case.call["medium"] = medium
    unit = str(rng.choice(list(LENGTHS)))
    values = spectrum.wavelength / LENGTHS[unit]
    if rng.random() < 0.3:
        case.call["wavelength_unit"] = {1.0: "Angstrom", 10.0: "nm", 1e4: "um"}[LENGTHS[unit]]
        return Column("wavelength", name, values)
    return Column("wavelength", name, values, unit)


def _errors(rng, spectrum):
    """Errors in one of their forms; -1 stays negative in each of them."""
    role = str(rng.choice(["sigma", "sigma", "variance", "ivar", "ivar", "relative"]))
    sigma, unit = spectrum.sigma, spectrum.unit
    if role == "relative" and not (np.isfinite(spectrum.flux) & (spectrum.flux > 0)).all():
        role = "sigma"
    with np.errstate(all="ignore"):
        values = {
            "sigma": sigma,
            "variance": np.sign(sigma) * sigma**2,
            "ivar": np.sign(sigma) / sigma**2,
            "relative": sigma / spectrum.flux,
        }[role]
        if role == "ivar":
            values = np.where(sigma == 0, np.inf, values)
    if role == "relative" or not unit or rng.random() < 0.4:
        unit = None
    elif rng.random() < 0.7:
        power = {"sigma": 1, "variance": 2, "ivar": -2}[role]
        other = units.Unit(_OTHER_UNITS.get(unit, unit))
        values = values * (units.Unit(unit) ** power).to(other**power)
        unit = (other**power).to_string()
    return Column(role, str(rng.choice(ERRORS[role])), values.copy(), unit)


def _mask(rng, case):
    flagged, draw = case.spectrum.flagged, rng.random()
    if draw < 0.45:
        bits = rng.choice([1, 2, 4, 64, 4096], flagged.shape)
        return Column("mask", str(rng.choice(BAD)), np.where(flagged, bits, 0).astype(np.int32))
    if draw < 0.65:
        return Column("mask", str(rng.choice(GOOD)), (~flagged).astype(np.int16))
    good = int(rng.integers(2))
    values = flagged.astype(np.int32) if good == 0 else (~flagged).astype(np.int32)
    if draw < 0.9:
        case.call["mask_good"] = good
    elif 0 < flagged.sum() < flagged.size:
        case.tell("unknown mask", must_refuse="the mask may mean both")
    elif flagged.any():
        case.tell("constant mask", known=False)
    return Column("mask", "mask", values)


# What may be wrong with a sheet, or only unusual. Each returns False if it does not apply.


def reversed_pixels(rng, sheet):
    for column in sheet.columns:
        column.values = column.values[:, ::-1]
    sheet.case.tell("reversed")
    return True


def shuffled_pixels(rng, sheet):
    n_orders, n = sheet.columns[0].values.shape
    if n_orders > 1 or n < 5:
        return False
    order = rng.permutation(n)
    for column in sheet.columns:
        column.values = column.values[:, order]
    sheet.case.tell("shuffled", may_refuse=True)
    return True


def repeated_pixels(rng, sheet):
    n = sheet.columns[0].values.shape[1]
    if n < 5 or len(sheet.columns[0].values) > 1:
        return False
    which = np.sort(np.concatenate([np.arange(n), some(rng, n)]))
    for column in sheet.columns:
        column.values = column.values[:, which]
    sheet.case.tell("repeated pixels", may_lose_pixels=True)
    return True


def other_order(rng, sheet):
    sheet.columns = [sheet.columns[i] for i in rng.permutation(len(sheet.columns))]
    sheet.case.tell("columns in another order")
    return True


def other_case(rng, sheet):
    for column in sheet.columns:
        column.name = str(rng.choice([column.name.upper(), column.name.lower(),
                                      column.name.title().replace(" ", "_")]))  # fmt: skip
    sheet.case.tell("other case of names")
    return True


def unknown_name(rng, sheet):
    column = sheet.columns[int(rng.integers(len(sheet.columns)))]
    if column.role == "decoy":
        return False
    column.name = str(rng.choice(_UNKNOWN))
    sheet.case.may_refuse = sheet.case.may_refuse or column.role in sheet.case.call
    _forget(sheet, column, f"{column.role} called {column.name}")
    return True


def dropped(rng, sheet):
    column = sheet.columns[int(rng.integers(len(sheet.columns)))]
    sheet.columns = [one for one in sheet.columns if one is not column]
    if not sheet.columns:
        return False
    case = sheet.case
    case.call.pop(column.role, None)
    if column.role in ERRORS:
        case.spectrum.sigma = None
        case.tell("without errors")
    elif column.role == "mask":
        case.spectrum.flagged[:] = False
        case.call.pop("mask_good", None)
        case.tell("without mask", must_refuse=_without_mask(case))
    elif column.role in ("flux", "wavelength"):
        case.tell(f"without {column.role}", must_refuse=f"there is no {column.role}")
    return True


def _without_mask(case):
    return "" if "mask" in case.must_refuse else case.must_refuse


def _forget(sheet, column, what):
    """Expect that a column cannot be known any more."""
    case = sheet.case
    if column.role in ERRORS:
        case.tell(what, may_lose_sigma=True)
    elif column.role == "mask":
        case.tell(what, may_lose_mask=True, must_refuse=_without_mask(case))
        plain = set(np.unique(column.values).tolist()) <= {0, 1}
        if not plain or len(np.unique(column.values)) < 2:
            case.known = case.known and not case.spectrum.flagged.any()
    else:
        case.tell(what, must_refuse=f"nothing is called {column.role}")


def decoy(rng, sheet):
    """Add an array of the same shape that is not the flux."""
    name = str(rng.choice(_DECOYS))
    if any(one.name.lower() == name for one in sheet.columns):
        return False
    values = sheet.case._level * rng.uniform(0.5, 2.0, sheet.columns[0].values.shape)
    sheet.columns.insert(int(rng.integers(len(sheet.columns) + 1)), Column("decoy", name, values))
    sheet.case.tell(f"also {name}")
    return True


def twice(rng, sheet):
    """Add another array with the name of one, and other values."""
    column = sheet.columns[int(rng.integers(len(sheet.columns)))]
    if column.role in ("mask", "decoy", "wavelength"):
        return False
    values = column.values * rng.uniform(1.5, 3.0)
    sheet.columns.append(Column("twin", column.name, values, column.unit))
    sheet.case.tell(f"{column.name} twice", may_refuse=True, must_warn="a name appears twice",
                    may_lose_sigma=True)  # fmt: skip
    return True


def two_names(rng, sheet):
    """Add a second array of a known name for flux or errors, with other values."""
    role = str(rng.choice(["flux", "sigma"]))
    known = FLUX if role == "flux" else ERRORS["sigma"]
    taken = {one.name.lower() for one in sheet.columns}
    free = [name for name in known if name.lower() not in taken]
    if role == "sigma" and sheet.of("sigma") is None:
        return False
    name = str(rng.choice(free))
    of_other_set = ("flux_reduced", "flux-reduced")
    if name == "FLUX_REDUCED" or (
        sheet.of("flux") and sheet.of("flux").name.lower() in of_other_set
    ):
        return False
    if "image" in sheet.case.kind and sheet.case.known:
        sheet.case.known = role != "flux"  # the other may be a primary image without a name
    values = sheet.of(role).values * 1.7
    sheet.columns.append(Column("twin", name, values))
    sheet.case.tell(f"also {name}", may_refuse=True, must_warn=f"two arrays may be the {role}")
    return True


def other_axis_unit(rng, sheet):
    """State another unit of wavelengths: what the file states is the meaning."""
    column = sheet.of("wavelength")
    if column is None or not (column.unit or "").strip():
        return False
    unit = str(rng.choice(["nm", "um", "Angstrom", "m", "cm"]))
    factor = {**LENGTHS, "m": 1e10, "cm": 1e8}
    factor = factor[unit] / factor[column.unit]
    column.unit = unit
    sheet.case.spectrum.wavelength *= factor
    sheet.case.tell(f"unit of wavelengths now {unit}",
                    may_refuse=sheet.case.may_refuse or factor != 1.0)  # fmt: skip
    return True


def unknown_axis_unit(rng, sheet):
    column = sheet.of("wavelength")
    if column is None or column.unit is None or column.name in _LOGS:
        return False
    column.unit = str(rng.choice(["furlong", "pixel", "s", "Hz", "km/s", "Kelvin", "???", "erg"]))
    reason = "wavelengths have no unit of length"
    sheet.case.tell(f"unit of wavelengths {column.unit}", must_refuse=reason)
    return True


def no_axis_unit(rng, sheet):
    column = sheet.of("wavelength")
    if column is None or column.unit is None:
        return False
    column.unit = str(rng.choice(["", " "])) if rng.random() < 0.5 else None
    sheet.case.tell("no unit of wavelengths", must_refuse="the unit of wavelengths is unknown")
    return True


def no_medium(rng, sheet):
    column = sheet.of("wavelength")
    if column is None or column.name in _MEDIA or "medium" not in sheet.case.call:
        return False
    del sheet.case.call["medium"]
    sheet.case.tell("no medium", must_refuse="air or vacuum is unknown")
    return True


def magnitudes(rng, sheet):
    column = sheet.of("flux")
    if column is None:
        return False
    column.unit = str(rng.choice(["mag", "mag(AB)", "dex", "dex(erg / (s cm2 Angstrom))"]))
    sheet.case.tell(f"flux in {column.unit}", must_refuse="flux is a logarithm")
    return True


def no_flux_unit(rng, sheet):
    """Flux of a unit that is not known: numbers stay as they are."""
    column = sheet.of("flux")
    if column is None:
        return False
    error = next((one for one in sheet.columns if one.role in ERRORS), None)
    if error is not None and error.unit and column.unit in _OTHER_UNITS:
        return False
    column.unit = str(rng.choice(["normalized", "ADU/pix", "flux units", "arbitrary", "1/0", "("]))
    sheet.case.spectrum.unit = None
    if error is not None and error.role != "relative":
        error.unit = column.unit if rng.random() < 0.5 else None
    sheet.case.tell(f"flux in {column.unit!r}")
    return True


def other_error_unit(rng, sheet):
    """Errors in a unit that cannot be converted to that of the flux."""
    error = next((one for one in sheet.columns if one.role in ERRORS), None)
    if error is None or error.role == "relative" or not sheet.case.spectrum.unit:
        return False
    if error.unit and sheet.case.spectrum.unit in _OTHER_UNITS:
        return False
    error.unit = str(rng.choice(["s", "K", "furlong", "Angstrom"]))
    sheet.case.tell(f"errors in {error.unit}", may_refuse=True, must_warn="errors in another unit",
                    may_lose_sigma=True)  # fmt: skip
    return True


def single_precision(rng, sheet):
    for column in sheet.columns:
        if column.values.dtype.kind == "f":
            with np.errstate(all="ignore"):
                single = column.values.astype(np.float32)
            known = np.isfinite(column.values)
            if not (np.isfinite(single[known]) & ((single[known] != 0) | (column.values[known] == 0))).all():  # fmt: skip  # noqa: E501
                continue
            column.values = single
    sheet.case.tell("float32", rtol_wavelength=3e-6, rtol=1e-5)
    return True


def no_errors(rng, sheet):
    """Errors that are none: many pipelines must fill the column."""
    error = next((one for one in sheet.columns if one.role in ERRORS), None)
    if error is None:
        return False
    error.values = np.full(error.values.shape, float(rng.choice([0.0, np.nan, -1.0])))
    case = sheet.case
    case.spectrum.sigma = None
    case.tell("errors all zero or NaN", must_warn="errors are unknown")
    return True


def no_good_pixel(rng, sheet):
    case = sheet.case
    column = sheet.of("flux")
    if column is None:
        return False
    column.values = np.full(column.values.shape, np.nan)
    case.tell("flux all NaN", must_refuse="no pixel has flux")
    return True


def several_stars(rng, sheet):
    n_orders, n = sheet.columns[0].values.shape
    if n_orders > 1 or n < 25:
        return False
    ids = np.where(np.arange(n) < n // 2, 11, 12)[None]
    same = rng.random() < 0.4
    name = str(rng.choice(["source_id", "TARGETID", "object_id"]))
    sheet.columns.append(Column("star", name, np.full_like(ids, 7) if same else ids))
    if same:
        sheet.case.tell("one star by its id")
    else:
        sheet.case.tell("two stars", must_refuse="there are two stars")
    return True


def by_number(rng, sheet):
    """Name arrays in the call, by their names, when these mean nothing."""
    case = sheet.case
    if case.must_refuse or case.may_refuse or case.call.get("mask_good") is not None:
        return False
    for column in sheet.columns:
        if column.role in ("wavelength", "flux", "sigma", "variance", "ivar"):
            if column.role == "wavelength" and any(
                column.name.lower() == name.lower() for name in (*_LOGS, *_MEDIA)
            ):
                continue
            if any(one is not column and one.name == column.name for one in sheet.columns):
                return False
            column.name = f"zz_{column.role}"
            case.call[column.role] = column.name
    case.tell("arrays named in the call")
    return True


CHANGES = (
    reversed_pixels, shuffled_pixels, repeated_pixels, other_order, other_case, unknown_name,
    dropped, decoy, decoy, twice, two_names, other_axis_unit, unknown_axis_unit, no_axis_unit,
    no_medium, magnitudes, no_flux_unit, other_error_unit, single_precision, no_errors,
    no_good_pixel, several_stars, by_number,
)  # fmt: skip
# Mutations after which another one cannot be judged any more.
_LAST = (unknown_name, dropped, twice, two_names, unknown_axis_unit, magnitudes, no_errors,
         other_error_unit, several_stars, no_good_pixel, no_axis_unit)  # fmt: skip


def change(rng, sheet, *, without=()):
    """Apply none to three changes."""
    choices = [one for one in CHANGES if one not in without]
    for _ in range(int(rng.choice([0, 1, 1, 2, 3]))):
        one = choices[int(rng.integers(len(choices)))]
        if one(rng, sheet) and one in _LAST:
            return
