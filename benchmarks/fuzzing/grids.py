"""Arrays and files that should be a grid of spectra."""

import io
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from astropy import units
from astropy.nddata import NDData
from astropy.table import QTable, Table

from fuzzing.judging import Wrong
from skphx.datasets import grid_from_arrays, load_hdf5_grid, load_npz_grid

NAMES = ("teff", "logg", "feh")
_FLUX_UNITS = ["erg / (s cm2 cm)", "erg / (s cm2 Angstrom)", "W / (m2 um)", "Jy", "", "count"]
_WORDS = ("spectra", "parameters", "wavelength", "medium", "parameter_names", "flux_unit",
          "spectrum", "flux", "teff", "logg", "feh", "grid.npz", "grid.h5")  # fmt: skip


@dataclass
class GridCase:
    """Arguments of a function that returns a grid, and the right answer."""

    kind: str
    call: dict
    spectra: np.ndarray
    parameters: np.ndarray
    wavelength: np.ndarray
    medium: str = "vacuum"
    names: tuple = NAMES
    unit: str | None = None
    content: bytes | None = None
    known: bool = True
    may_refuse: bool = False
    must_refuse: str = ""
    rtol: float = 1e-9
    log: list = field(default_factory=list)
    words: tuple = _WORDS

    @property
    def story(self):
        """How the arguments were made."""
        return ", ".join(self.log)

    def tell(self, what, **changes):
        """Note a mutation, and change what is expected."""
        self.log.append(what)
        for name, value in changes.items():
            setattr(self, name, value)

    def run(self):
        """Make the grid."""
        if self.content is None:
            return grid_from_arrays(**self.call)
        suffix = ".npz" if "npz" in self.kind else ".h5"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"grid{suffix}"
            path.write_bytes(self.content)
            load = load_npz_grid if suffix == ".npz" else load_hdf5_grid
            return load(path, **self.call)

    def check(self, grid, messages):
        """Raise Wrong unless the grid is what was given."""
        del messages
        spectra = grid.spectra
        if not isinstance(spectra, np.ndarray) or spectra.dtype.kind != "f":
            raise Wrong(f"spectra are {type(spectra).__name__}")
        n = len(grid.wavelength)
        if spectra.shape != (len(spectra), n) or grid.parameters.shape != (
            len(spectra),
            len(grid.parameter_names),
        ):
            raise Wrong("shapes do not fit")
        if not (np.isfinite(spectra).all() and np.isfinite(grid.parameters).all()):
            raise Wrong("not finite")
        if (np.diff(grid.wavelength) <= 0).any() or grid.medium not in ("air", "vacuum"):
            raise Wrong("wavelengths or medium")
        if not self.known:
            return
        if not np.allclose(grid.wavelength, self.wavelength, rtol=self.rtol, atol=0):
            raise Wrong(f"wavelengths {grid.wavelength[:3]}, not {self.wavelength[:3]}")
        order = [list(grid.parameter_names).index(name) for name in self.names]
        if not np.allclose(grid.parameters[:, order], self.parameters, rtol=1e-6):
            raise Wrong(f"parameters {grid.parameters[0]}, not {self.parameters[0]}")
        flux, own = grid.spectra, grid.units["spectra"]
        if own and self.unit and own != self.unit:
            flux = units.Quantity(flux, own).to_value(
                self.unit, units.spectral_density(self.wavelength * units.AA)
            )
        if not np.allclose(flux, self.spectra, rtol=max(self.rtol, 1e-6), atol=0):
            raise Wrong(f"flux {flux[0][:3]} in {own}, not {self.spectra[0][:3]} in {self.unit}")
        if grid.medium != self.medium:
            raise Wrong(f"medium {grid.medium}")


def _drawn(rng, kind):
    n, n_pixels = int(rng.integers(2, 6)), int(rng.integers(5, 40))
    wavelength = 5000.0 + np.cumsum(rng.uniform(0.1, 1.0, n_pixels))
    spectra = rng.uniform(0.5, 1.5, (n, n_pixels)) * float(rng.choice([1.0, 3e14, 2e-15]))
    parameters = np.column_stack([
        rng.choice([4000.0, 5000.0, 6000.0], n), rng.uniform(1, 5, n), rng.uniform(-2, 0.5, n),
    ])  # fmt: skip
    medium = str(rng.choice(["air", "vacuum"]))
    return GridCase(kind, {}, spectra, parameters, wavelength, medium)


# Forms of the arguments


def _spectra_form(rng, case):
    flux = case.spectra
    unit = str(rng.choice(_FLUX_UNITS))
    what = str(rng.choice(["array", "float32", "big-endian", "Fortran", "list", "rows", "Quantity",
                           "masked array", "NDData", "DataFrame", "integers", "list of Quantities",
                           "unit beside", "object", "not contiguous"]))  # fmt: skip
    case.log.append(f"spectra: {what}")
    if what == "float32":
        case.rtol = 1e-6
        return flux.astype(np.float32)
    if what == "integers" and 0.1 < flux.max() < 100:
        case.spectra = np.round(100 * flux)
        return case.spectra.astype(rng.choice([np.int32, np.uint16, np.int64]))
    if what in ("Quantity", "list of Quantities", "NDData", "unit beside"):
        case.unit = unit
        case.log.append(unit)
        if what == "NDData":
            return NDData(flux, unit=unit)
        if what == "unit beside":
            case.call["flux_unit"] = unit if rng.random() < 0.5 else units.Unit(unit)
            return flux
        whole = units.Quantity(flux, unit)
        return whole if what == "Quantity" else list(whole)
    if what == "object":
        case.may_refuse = True
        return flux.astype(object)
    return {
        "big-endian": lambda: flux.astype(">f8"),
        "Fortran": lambda: np.asfortranarray(flux),
        "list": flux.tolist,
        "rows": lambda: list(flux),
        "masked array": lambda: np.ma.array(flux),
        "DataFrame": lambda: pd.DataFrame(flux),
        "not contiguous": lambda: np.repeat(flux, 2, axis=1)[:, ::2],
    }.get(what, lambda: flux)()


def _parameters_form(rng, case):
    values, names = case.parameters, list(case.names)
    order = [names[i] for i in rng.permutation(len(names))]
    columns = {name: values[:, names.index(name)] for name in order}
    what = str(rng.choice(["array", "list", "DataFrame", "Table", "QTable", "dict", "structured",
                           "float32", "list of dicts", "in kK"]))  # fmt: skip
    case.log.append(f"parameters: {what}")
    if what == "float32":
        return values.astype(np.float32)
    if what == "structured":
        array = np.zeros(len(values), [(name, float) for name in order])
        for name in order:
            array[name] = columns[name]
        return array
    if what in ("QTable", "in kK"):
        columns["teff"] = columns["teff"] * units.K
        if what == "in kK":
            columns["teff"] = columns["teff"].to(units.kK)
        return QTable(columns)
    return {
        "list": values.tolist,
        "DataFrame": lambda: pd.DataFrame(columns),
        "Table": lambda: Table(columns),
        "dict": lambda: columns,
        "list of dicts": lambda: pd.DataFrame(columns).to_dict("records"),
    }.get(what, lambda: values)()


def _wavelength_form(rng, case):
    at = case.wavelength
    what = str(rng.choice(["array", "list", "nm", "um", "float32", "column", "Series"]))
    case.log.append(f"wavelength: {what}")
    if what == "float32":
        case.rtol = 1e-6
        case.wavelength = at.astype(np.float32).astype(float)
    return {
        "list": at.tolist,
        "nm": lambda: at / 10 * units.nm,
        "um": lambda: (at * units.AA).to(units.um),
        "float32": lambda: at.astype(np.float32),
        "column": lambda: Table({"w": at})["w"],
        "Series": lambda: pd.Series(at),
    }.get(what, lambda: at)()


def _put(array, where, value):
    """Return a copy with a value at a place, of anything that NumPy can read."""
    if hasattr(array, "to_value"):
        copy = array.copy()
        copy.reshape(-1)[where] = value * array.unit
        return copy
    copy = np.array(array, dtype=float)
    copy.reshape(-1)[where] = value
    return copy


def _broken(rng, case):
    """Break one argument of `grid_from_arrays`."""
    call = case.call
    n, n_pixels = case.spectra.shape
    plain: dict[str, Any] = {"spectra": case.spectra, "parameters": case.parameters}
    at = case.wavelength
    where = int(rng.integers(n * n_pixels))
    broken = [
        ("NaN in flux", "spectra", lambda: _put(plain["spectra"], where, np.nan)),
        ("inf in flux", "spectra", lambda: _put(plain["spectra"], where, np.inf)),
        ("negative flux", "spectra", lambda: _put(plain["spectra"], where, -1.0)),
        ("a masked pixel", "spectra", lambda: np.ma.array(
            plain["spectra"], mask=np.arange(n * n_pixels).reshape(n, -1) == where)),
        ("a spectrum of zeros", "spectra", lambda: plain["spectra"] * (np.arange(n) > 0)[:, None]),
        ("one axis", "spectra", lambda: plain["spectra"][0]),
        ("three axes", "spectra", lambda: plain["spectra"][None]),
        ("transposed", "spectra", lambda: plain["spectra"].T),
        ("complex", "spectra", lambda: plain["spectra"] + 1j),
        ("text", "spectra", lambda: plain["spectra"].astype(str)),
        ("ragged", "spectra", lambda: [
            row[: n_pixels - i] for i, row in enumerate(plain["spectra"])]),
        ("None", "spectra", lambda: None),
        ("empty", "spectra", lambda: np.empty((0, n_pixels))),
        ("a pixel less", "spectra", lambda: plain["spectra"][:, 1:]),
        ("magnitudes", "spectra", lambda: plain["spectra"] * units.mag),
        ("Kelvin", "spectra", lambda: plain["spectra"] * units.K),
        ("booleans", "spectra", lambda: plain["spectra"] > 1),
        ("a dict", "spectra", lambda: {"flux": plain["spectra"]}),
        ("a number", "spectra", lambda: 3.0),
        ("a generator", "spectra", lambda: (row for row in plain["spectra"])),
        ("a set", "spectra", lambda: {1.0, 2.0}),
        ("units of some rows", "spectra", lambda: [plain["spectra"][0] * units.Jy,
                                                   *plain["spectra"][1:]]),
        ("a row less", "parameters", lambda: plain["parameters"][1:]),
        ("NaN in parameters", "parameters", lambda: _put(plain["parameters"], 0, np.nan)),
        ("a column less", "parameters", lambda: plain["parameters"][:, :2]),
        ("one axis", "parameters", lambda: plain["parameters"][:, 0]),
        ("text in parameters", "parameters", lambda: plain["parameters"].astype(str)),
        ("masked parameters", "parameters", lambda: np.ma.array(
            plain["parameters"], mask=np.arange(3 * n).reshape(n, 3) == 0)),
        ("a column of another name", "parameters", lambda: pd.DataFrame(
            plain["parameters"], columns=["teff", "logg", "metallicity"])),
        ("a column twice", "parameters", lambda: pd.DataFrame(
            np.column_stack([plain["parameters"], plain["parameters"][:, :1]]),
            columns=["teff", "logg", "feh", "teff"])),
        ("Teff in Angstrom", "parameters", lambda: {
            "teff": plain["parameters"][:, 0] * units.AA, "logg": plain["parameters"][:, 1],
            "feh": plain["parameters"][:, 2]}),
        ("None", "parameters", lambda: None),
        ("columns of other lengths", "parameters", lambda: {
            "teff": plain["parameters"][1:, 0], "logg": plain["parameters"][:, 1],
            "feh": plain["parameters"][:, 2]}),
        ("text in a column", "parameters", lambda: {
            "teff": ["hot"] * n, "logg": plain["parameters"][:, 1],
            "feh": plain["parameters"][:, 2]}),
        ("objects", "parameters", lambda: np.array([[object()] * 3] * n)),
        ("decreasing", "wavelength", lambda: at[::-1]),
        ("a wavelength twice", "wavelength", lambda: np.concatenate([at[:1], at[:-1]])),
        ("NaN", "wavelength", lambda: _put(at, 0, np.nan)),
        ("negative", "wavelength", lambda: -at[::-1]),
        ("zero", "wavelength", lambda: _put(at, 0, 0.0)),
        ("inf", "wavelength", lambda: _put(at, -1, np.inf)),
        ("in seconds", "wavelength", lambda: at * units.s),
        ("in km", "wavelength", lambda: at * units.km),
        ("in Hz", "wavelength", lambda: at * units.Hz),
        ("text", "wavelength", lambda: at.astype(str)),
        ("one more", "wavelength", lambda: np.append(at, at[-1] + 1)),
        ("two axes", "wavelength", lambda: at[None]),
        ("None", "wavelength", lambda: None),
        ("masked", "wavelength", lambda: np.ma.array(at, mask=np.arange(n_pixels) == 1)),
        ("a tuple", "wavelength", lambda: (at[0], at[-1])),
        ("a number", "wavelength", lambda: 5000.0),
        ("empty", "wavelength", lambda: []),
        ("a dict", "wavelength", lambda: {"wavelength": at}),
        ("no medium", "medium", lambda: None),
        ("medium of another word", "medium", lambda: str(rng.choice(["Air", "vac", "", "water"]))),
        ("medium is a list", "medium", lambda: ["air"]),
        ("medium is a number", "medium", lambda: 1),
        ("names twice", "parameter_names", lambda: ("teff", "teff", "feh")),
        ("names without feh", "parameter_names", lambda: ("teff", "logg", "mh")),
        ("two names", "parameter_names", lambda: ("teff", "logg")),
        ("names are text", "parameter_names", lambda: "teff"),
        ("names are None", "parameter_names", lambda: None),
        ("names are numbers", "parameter_names", lambda: (1, 2, 3)),
        ("a reserved name", "parameter_names", lambda: ("teff", "logg", "flux")),
        ("unit is no flux", "flux_unit", lambda: str(rng.choice(["K", "mag", "Angstrom", "s"]))),
    ]  # fmt: skip
    what, argument, make = broken[int(rng.integers(len(broken)))]
    if argument == "flux_unit":
        call["spectra"] = plain["spectra"]
    if argument == "parameter_names":
        call["parameters"] = plain["parameters"]
    call[argument] = make()
    if what == "transposed" and n == n_pixels:
        return
    if what in ("a tuple", "booleans", "text", "text in parameters", "objects", "a generator"):
        case.may_refuse = True  # or read right
    case.tell(f"{argument}: {what}", must_refuse=f"{argument}: {what}")


def arrays(rng):
    case = _drawn(rng, "grid_from_arrays")
    case.call = {
        "spectra": _spectra_form(rng, case),
        "parameters": _parameters_form(rng, case),
        "wavelength": _wavelength_form(rng, case),
        "medium": case.medium,
    }
    if case.unit == "Jy":
        case.rtol = max(case.rtol, 1e-6)
    if rng.random() < 0.6:
        _broken(rng, case)
    return case


# Files


def _broken_arrays(rng, case, stored):
    """Break one of the named arrays of a file."""
    n, n_pixels = case.spectra.shape
    where = int(rng.integers(n * n_pixels))
    name = str(rng.choice(["wavelength", "flux", *NAMES]))
    what = int(rng.integers(12))
    if what == 0:
        del stored[name]
        case.tell(f"no {name}", must_refuse=f"there is no {name}")
    elif what == 1:
        stored[name] = stored[name][..., 1:] if name != "flux" else stored[name][1:]
        case.tell(f"{name} is too short", must_refuse="arrays do not fit")
    elif what == 2:
        stored[name] = _put(stored[name], 0, float(rng.choice([np.nan, np.inf])))
        case.tell(f"{name} is not finite", must_refuse="numbers are not finite")
    elif what == 3:
        stored[name] = stored[name].astype("S20")
        case.tell(f"{name} is text", must_refuse="text")
    elif what == 4:
        stored[name] = stored[name] + 1j
        case.tell(f"{name} is complex", must_refuse="complex numbers")
    elif what == 5:
        stored["wavelength"] = stored["wavelength"][::-1].copy()
        case.tell("decreasing", must_refuse="wavelengths decrease")
    elif what == 6:
        stored["flux"] = _put(stored["flux"], where, -1.0)
        case.tell("negative flux", must_refuse="flux is negative")
    elif what == 7:
        stored["flux_1e4"] = np.ones((n, n_pixels), np.int32)
        case.tell("two arrays of flux", must_refuse="there are two arrays of flux")
    elif what == 8:
        stored["medium"] = np.array(str(rng.choice(["water", "", "AIR"])))
        case.tell("medium of another word", must_refuse="the medium is none")
    elif what == 9:
        stored["provenance"] = np.array(str(rng.choice(["{", "[1]", "abc", '"x"'])))
        case.tell("provenance is no JSON object", must_refuse="provenance is damaged")
    elif what == 10:
        stored["flux_unit"] = np.array(str(rng.choice(["mag", "K", "s"])))
        case.tell("unit is no flux", must_refuse="the unit is none of flux")
    else:
        stored["wavelength_unit"] = np.array(str(rng.choice(["furlongs", "s", "km", "Hz"])))
        case.tell("unit is no length", must_refuse="the unit is none of wavelengths")


def _stored(rng, case):
    stored = {"wavelength": case.wavelength, "flux": case.spectra, "medium": np.array(case.medium)}
    stored |= dict(zip(NAMES, case.parameters.T, strict=True))
    if rng.random() < 0.3:
        case.wavelength = case.wavelength.copy()
        stored["wavelength"] = case.wavelength / 10
        stored["wavelength_unit"] = np.array("nm")
    if rng.random() < 0.3:
        stored["flux_unit"] = np.array("W / (m2 um)")
        case.unit = "W / (m2 um)"
    elif rng.random() < 0.2 and 0.1 < case.spectra.max() < 100:
        stored["flux_1e4"] = np.round(1e4 * stored.pop("flux")).astype(np.int32)
        case.spectra = stored["flux_1e4"] / 1e4
        return stored
    if rng.random() < 0.2:
        del stored["medium"]
        case.call["medium"] = case.medium
    if rng.random() < 0.4:
        _broken_arrays(rng, case, stored)
    return stored


def npz(rng):
    case = _drawn(rng, "load_npz_grid")
    stream = io.BytesIO()
    save = np.savez_compressed if rng.random() < 0.5 else np.savez
    save(stream, **_stored(rng, case))
    case.content = stream.getvalue()
    return case


def hdf5(rng):
    import h5py

    case = _drawn(rng, "load_hdf5_grid")
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, array in _stored(rng, case).items():
            if array.dtype.kind == "U":
                file.attrs[name] = str(array)
            elif array.ndim == 2 and rng.random() < 0.5:
                file.create_dataset(name, data=array, chunks=True, compression="gzip")
            else:
                file.create_dataset(name, data=array)
        if rng.random() < 0.1:
            file.create_group("group")
        if rng.random() < 0.05:
            file["flux2"] = h5py.SoftLink("/flux")
            case.tell("a link", must_refuse="links are not followed")
    case.content = stream.getvalue()
    return case
