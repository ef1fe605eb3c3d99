"""Observed stars in memory, and what `infer` must make of them."""

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from astropy import units
from astropy.nddata import InverseVariance, NDDataArray, StdDevUncertainty, VarianceUncertainty
from astropy.table import QTable, Table

from fuzzing.judging import Wrong
from skphx import make_stellar_estimator
from skphx.datasets import make_stellar_grid
from skphx.observing import ObservedSpectrum

TRUTH = np.array([5250.0, 4.0, 0.0])
_C = 299_792.458
_RELATIVE_ERROR = 0.007
_MOST_ERRORS = 5.0
_WORDS = ("wavelength", "flux", "sigma", "ivar", "mask", "medium", "resolution", "line_spread",
          "velocity", "star", "bounds", "priors", "prior", "continuum_degree", "vsini",
          "macroturbulence", "limb_darkening", "n_samples", "observation_model",
          "spectrum")  # fmt: skip


@functools.cache
def model():
    """Return a small model, and the spectrum of a star between its edges."""
    grid = make_stellar_grid(
        teff=(5000.0, 5250.0, 5500.0, 5750.0),
        logg=(3.5, 4.0, 4.5),
        feh=(-0.5, 0.0, 0.5),
        wavelength=(8500.0, 8512.0),
        n_pixels=240,
        n_lines=12,
    )
    estimator = make_stellar_estimator(grid, lines=False, random_state=0)
    estimator.set_params(n_initial_points=20, n_starts=1).fit(grid.spectra, grid.parameters)
    row = int(np.flatnonzero((grid.parameters == TRUTH).all(axis=1))[0])
    return estimator, grid.wavelength[12:-12], grid.spectra[row, 12:-12] / grid.spectra[row].max()


@dataclass
class StarCase:
    """A call of `infer`, and what it must find."""

    kind: str
    star: Any
    call: dict
    velocity: float
    n_stars: int = 0
    known: bool = True
    may_refuse: bool = False
    must_refuse: str = ""
    log: list = field(default_factory=list)
    words: tuple = _WORDS

    @property
    def story(self):
        """How the star was made."""
        return ", ".join([*self.log, f"call {self.call}"])

    def tell(self, what, **changes):
        """Note a mutation, and change what is expected."""
        self.log.append(what)
        for name, value in changes.items():
            setattr(self, name, value)

    def run(self):
        """Infer the parameters."""
        return model()[0].infer(self.star, **self.call)

    def check(self, result, messages):
        """Raise Wrong unless parameters are right within their errors, or flagged."""
        del messages
        if result.shape != ((self.n_stars,) if self.n_stars else ()):
            raise Wrong(f"results of shape {result.shape}")
        for one in result:
            if one.flags:
                continue
            if not np.isfinite(one.parameters).all() or not np.isfinite(one.errors).all():
                raise Wrong(f"not finite: {one.parameters}, {one.errors}")
            if not (one.errors > 0).all():
                raise Wrong(f"errors of {one.errors}")
            if not np.isfinite(one.chi2) or not all(map(_is_finite, one.model)):
                raise Wrong("chi² or model not finite")
            if self.known:
                self._compare(one)

    def _compare(self, one):
        right = dict(zip(("teff", "logg", "feh"), TRUTH, strict=True), velocity=self.velocity)
        found = zip(one.parameter_names, one.parameters, one.errors, strict=True)
        for name, value, error in found:
            if name in right and abs(value - right[name]) > _MOST_ERRORS * error:
                raise Wrong(
                    f"{name} is {value:g} ± {error:g}, not {right[name]:g}, without a flag"
                )


def _is_finite(values):
    return np.isfinite(values).all()


def _arrays(rng):
    """Return arrays of a star, plain numbers, and its velocity in km/s."""
    _, at, flux = model()
    velocity = float(rng.choice([0.0, rng.uniform(-10, 10)]))
    sigma = _RELATIVE_ERROR * flux
    flux = flux + rng.normal(0.0, sigma)
    level = float(rng.choice([1.0, 1e-14, 3e4]))
    star = {"wavelength": at * (1 + velocity / _C), "flux": level * flux, "sigma": level * sigma}
    return star, velocity


def _odd_pixels(rng, case, star):
    """Put odd values into pixels that are then left out."""
    n = len(star["flux"])
    where = rng.choice(n, int(rng.integers(1, 12)), replace=False)
    what = str(rng.choice(["NaN flux", "inf flux", "NaN sigma", "zero sigma", "negative sigma",
                           "inf sigma", "masked", "masked int", "masked list", "no wavelength",
                           "padded", "ivar zero", "NaN under the mask"]))  # fmt: skip
    case.log.append(what)
    if what == "NaN flux":
        star["flux"][where] = np.nan
    elif what == "inf flux":
        star["flux"][where] = rng.choice([np.inf, -np.inf])
    elif "sigma" in what:
        star["sigma"][where] = {"NaN": np.nan, "zero": 0.0, "negative": -1.0, "inf": np.inf}[
            what.split()[0]
        ]
    elif "mask" in what:
        mask = np.zeros(n, dtype=bool)
        mask[where] = True
        star["flux"][where] = np.nan if "NaN" in what else 1e3 * star["flux"][where]
        star["mask"] = {"masked": mask, "masked int": 4 * mask.astype(int)}.get(
            what, mask.tolist()
        )
    elif what == "no wavelength":
        star["wavelength"][where] = rng.choice([np.nan, 0.0, -5.0])
        star["flux"][where] = np.nan
    elif what == "padded":
        part = slice(0, 20) if rng.random() < 0.5 else slice(-20, None)
        star["wavelength"][part] = rng.choice([np.nan, 0.0, star["wavelength"][100]])
        star["flux"][part] = np.nan
    else:
        sigma = star.pop("sigma")
        star["ivar"] = sigma**-2.0
        star["ivar"][where] = 0.0
        star["flux"][where] *= 50


def _form(rng, case, star):
    """Give the arrays of a star one of the forms in which users have them."""
    what = str(rng.choice(["dict", "Table", "QTable", "DataFrame", "structured", "object",
                           "specutils", "masked arrays", "Quantities", "reversed", "lists",
                           "float32", "big-endian", "order", "two orders", "ragged orders",
                           "variance", "NDData", "Series", "no sigma", "one sigma"]))  # fmt: skip
    case.log.append(what)
    plain = {key: np.asarray(value) for key, value in star.items()}
    if what in ("Table", "DataFrame", "structured"):
        if what == "Table":
            return Table(plain)
        frame = pd.DataFrame(plain)
        return frame if what == "DataFrame" else frame.to_records(index=False)
    if what == "QTable":
        plain["wavelength"] = plain["wavelength"] / 10 * units.nm
        return QTable(plain)
    if what == "object":
        return ObservedSpectrum(**plain)
    if what == "specutils" and "mask" not in plain and np.isfinite(plain["wavelength"]).all():
        return _of_specutils(case, plain)
    if what == "masked arrays":
        bad = ~np.isfinite(plain["flux"])
        return plain | {"flux": np.ma.array(np.where(bad, 99.0, plain["flux"]), mask=bad)}
    if what == "Quantities":
        return _with_units(rng, plain)
    if what == "reversed":
        return {key: value[::-1] for key, value in plain.items()}
    if what == "lists":
        return {key: value.tolist() for key, value in plain.items()}
    if what in ("float32", "big-endian"):
        kind = np.float32 if what == "float32" else ">f8"
        keep = ("mask", "wavelength") if what == "float32" else ("mask",)
        return {k: v if k in keep else v.astype(kind) for k, v in plain.items()}
    if what == "order":
        return {key: value[None] for key, value in plain.items()}
    if what in ("two orders", "ragged orders"):
        n = 110 if what == "ragged orders" else 108
        orders = {key: [value[:n], value[n:]] for key, value in plain.items()}
        if any((np.isfinite(one)).sum() < 60 for one in orders["flux"]):
            return plain
        return orders if what == "ragged orders" else {k: np.array(v) for k, v in orders.items()}
    if what == "variance" and "sigma" in plain and (plain["sigma"] > 0).all():
        flux = NDDataArray(plain["flux"], uncertainty=VarianceUncertainty(plain["sigma"] ** 2))
        return {"wavelength": plain["wavelength"], "flux": flux} | _mask_of(plain)
    if what == "NDData" and "sigma" in plain:
        flux = NDDataArray(plain["flux"], uncertainty=StdDevUncertainty(plain["sigma"]))
        return {"wavelength": plain["wavelength"], "flux": flux} | _mask_of(plain)
    if what == "Series":
        return {key: pd.Series(value) for key, value in plain.items()}
    if what == "no sigma" and "sigma" in plain and (plain["sigma"] > 0).all():
        del plain["sigma"]
    if what == "one sigma" and "sigma" in plain and (plain["sigma"] > 0).all():
        plain["sigma"] = float(np.median(plain["sigma"]))
    return plain


def _mask_of(plain):
    return {"mask": plain["mask"]} if "mask" in plain else {}


def _of_specutils(case, plain):
    import specutils

    if not (np.diff(plain["wavelength"]) > 0).all():
        return plain
    error = (
        InverseVariance(plain["ivar"]) if "ivar" in plain else StdDevUncertainty(plain["sigma"])
    )
    return specutils.Spectrum(
        spectral_axis=plain["wavelength"] * units.AA, flux=plain["flux"] * units.Jy,
        uncertainty=error,
    )  # fmt: skip


def _with_units(rng, plain):
    unit = units.Unit(str(rng.choice(["erg / (s cm2 Angstrom)", "W / (m2 um)", "ct"])))
    star = dict(plain)
    star["wavelength"] = (plain["wavelength"] * units.AA).to(
        str(rng.choice(["nm", "um", "Angstrom"]))
    )
    if rng.random() < 0.3 and (np.isfinite(plain["wavelength"]) & (plain["wavelength"] > 0)).all():
        star["wavelength"] = (plain["wavelength"] * units.AA).to("GHz", units.spectral())
    star["flux"] = plain["flux"] * unit
    if "sigma" in star:
        star["sigma"] = (plain["sigma"] * unit).to(1e-3 * unit)
    if "ivar" in star:
        star["ivar"] = plain["ivar"] / unit**2
    return star


def star(rng):
    """Return a star that is good."""
    arrays, velocity = _arrays(rng)
    case = StarCase("infer", None, {"velocity": (-20.0, 20.0)}, velocity)
    for _ in range(int(rng.integers(0, 3))):
        if "sigma" in arrays and "mask" not in arrays:
            _odd_pixels(rng, case, arrays)
    made = _form(rng, case, arrays)
    if isinstance(made, dict) and rng.random() < 0.5:
        made["medium"] = "vacuum"
    else:
        case.call["medium"] = "vacuum"
    case.star = made
    draw = rng.random()
    if draw < 0.1:
        case.star, case.n_stars = [made, made], 2
        case.log.append("two stars")
    elif draw < 0.15:
        case.star, case.n_stars = [[made]], 1
    elif draw < 0.2:
        case.star, case.n_stars = {"a": made, "b": made}, 2
        case.log.append("stars by name")
    elif draw < 0.23:
        case.call["bounds"] = {"teff": (5100, 5400), "logg": (None, None)}
    elif draw < 0.26:
        case.call["priors"] = {"teff": (5250.0, 100.0), "velocity": (velocity, 5.0)}
    elif draw < 0.29:
        case.call["vsini"] = (0.0, 10.0)
    elif draw < 0.32:
        case.call["continuum_degree"] = int(rng.integers(0, 6))
    elif draw < 0.34:
        case.call["velocity"] = (-20 * units.km / units.s, 20_000 * units.m / units.s)
    return case


def broken_star(rng):
    """Return a star or a call of which something is wrong."""
    arrays, velocity = _arrays(rng)
    call = {"velocity": (-20.0, 20.0), "medium": "vacuum"}
    case = StarCase("infer, broken", None, call, velocity)
    n, at, flux, sigma = len(arrays["flux"]), *arrays.values()

    def given(**changes):
        return {key: value for key, value in (arrays | changes).items() if value is not None}

    stars = [
        ("no flux", lambda: given(flux=None)),
        ("no wavelength", lambda: given(wavelength=None)),
        ("errors under another name", lambda: given(sigma=None, error=sigma)),
        ("mask under another name", lambda: given(good=np.ones(n))),
        ("sigma and ivar", lambda: given(ivar=sigma**-2)),
        ("a pixel less of flux", lambda: given(flux=flux[1:])),
        ("a pixel less of sigma", lambda: given(sigma=sigma[1:])),
        ("a pixel less of mask", lambda: given(mask=np.zeros(n - 1, bool))),
        ("text flux", lambda: given(flux=flux.astype(str))),
        ("text sigma", lambda: given(sigma="0.01")),
        ("complex flux", lambda: given(flux=flux + 1j)),
        ("objects", lambda: given(flux=np.array([object()] * n))),
        ("three axes", lambda: given(flux=flux[None, None])),
        ("no axis", lambda: given(flux=1.0)),
        ("wavelengths in nm without unit", lambda: given(wavelength=at / 10)),
        ("wavelengths in µm without unit", lambda: given(wavelength=at / 1e4)),
        ("log wavelengths", lambda: given(wavelength=np.log10(at))),
        ("wavelengths in s", lambda: given(wavelength=at * units.s)),
        ("wavelengths in km/s", lambda: given(wavelength=at * units.km / units.s)),
        ("other wavelengths", lambda: given(wavelength=at + 500.0)),
        ("shuffled", lambda: given(wavelength=rng.permutation(at))),
        ("repeated", lambda: given(wavelength=np.repeat(at[::2], 2))),
        ("all NaN", lambda: given(flux=np.full(n, np.nan))),
        ("all masked", lambda: given(mask=np.ones(n, bool))),
        ("inverted mask", lambda: given(mask=np.arange(n) > 3)),
        ("sigma zero", lambda: given(sigma=0.0)),
        ("sigma negative", lambda: given(sigma=-sigma)),
        ("sigma NaN", lambda: given(sigma=np.nan)),
        ("sigma all zero", lambda: given(sigma=np.zeros(n))),
        ("ivar all zero", lambda: given(sigma=None, ivar=np.zeros(n))),
        ("mask of floats", lambda: given(mask=np.linspace(0, 1, n))),
        ("mask of text", lambda: given(mask=["no"] * n)),
        ("medium", lambda: given(medium=str(rng.choice(["Vacuum", "water", ""])))),
        ("medium is a number", lambda: given(medium=3)),
        ("resolution", lambda: given(resolution=float(rng.choice([-5.0, 0.0, np.nan])))),
        ("resolution is text", lambda: given(resolution="high")),
        ("resolution of another length", lambda: given(resolution=np.full(n - 1, 3e4))),
        ("velocity", lambda: given(velocity=float(rng.choice([np.nan, np.inf, 1e7])))),
        ("velocity is text", lambda: given(velocity="fast")),
        ("velocity in m", lambda: given(velocity=3 * units.m)),
        ("line spread", lambda: given(line_spread=np.eye(n - 1))),
        ("line spread is text", lambda: given(line_spread="gauss")),
        ("magnitudes", lambda: given(flux=flux * units.mag)),
        ("flux in K", lambda: given(flux=flux * units.K)),
        ("sigma in another unit", lambda: given(flux=flux * units.Jy, sigma=sigma * units.s)),
        ("sigma with a unit alone", lambda: given(sigma=sigma * units.Jy)),
        ("a number", lambda: 3.0),
        ("None", lambda: None),
        ("text", lambda: "star.fits"),
        ("an array", lambda: flux),
        ("arrays in a tuple", lambda: (at, flux)),
        ("a class", lambda: dict),
        ("a list of numbers", lambda: [1.0, 2.0]),
        ("a list with None", lambda: [given(), None]),
        ("two stars that are segments", lambda: [
            {key: value[:100] for key, value in arrays.items()},
            {key: value[100:] for key, value in arrays.items()}]),
        ("few pixels", lambda: {key: value[:5] for key, value in arrays.items()}),
        ("one pixel", lambda: {key: value[:1] for key, value in arrays.items()}),
        ("no pixel", lambda: {key: value[:0] for key, value in arrays.items()}),
        ("wavelengths None", lambda: {"wavelength": None, "flux": flux}),
        ("negative wavelengths", lambda: given(wavelength=-at)),
        ("a wavelength column of text", lambda: pd.DataFrame(
            {"wavelength": at.astype(str), "flux": flux})),
        ("orders of other numbers", lambda: given(flux=[flux[:100], flux[100:]])),
        ("dates", lambda: given(flux=np.full(n, np.datetime64("2020-01-01")))),
    ]  # fmt: skip
    calls = [
        ("velocity", [(20.0, -20.0), "fast", (np.nan, 1.0), (1, 2, 3), np.nan, None,
                      (-20 * units.m, 20 * units.m), (-1e9, 1e9), [], {"a": 1}]),
        ("vsini", [(-5.0, 10.0), -1.0, "x", (5.0,), np.inf]),
        ("macroturbulence", [(-5.0, 10.0), -1.0, "x"]),
        ("resolution", [-1.0, 0.0, "x", (5e4, 1e4), (0.0, 1e5), np.nan]),
        ("medium", ["Air", 3, "", ["air"]]),
        ("continuum_degree", [-1, 1.5, "x", np.nan, True]),
        ("limb_darkening", [2.0, -0.5, "x", np.nan]),
        ("bounds", [{"teff": (5400, 5100)}, {"nothing": (1, 2)}, {"teff": 3}, [1, 2], "x",
                    {"teff": (9000, 9900)}, {"teff": ("a", "b")}, np.zeros((2, 2)),
                    {"teff": (5000 * units.AA, 6000 * units.AA)}, {"velocity": (0, 1)}]),
        ("priors", [{"teff": (5250.0, -1.0)}, {"teff": (5250.0, 0.0)}, {"nothing": (1, 2)},
                    {"teff": (np.nan, 5.0)}, {"teff": 5}, "x", {"teff": ("a", 1)}, [1, 2, 3],
                    {"teff": (5250.0 * units.s, 1.0 * units.s)}]),
        ("n_samples", [-1, 1.5, "x", None, True]),
        ("observation_model", [3, "x", {"velocity": 3}]),
    ]  # fmt: skip
    if rng.random() < 0.65:
        what, make = stars[int(rng.integers(len(stars)))]
        case.star = make()
    else:
        name, values = calls[int(rng.integers(len(calls)))]
        value = values[int(rng.integers(len(values)))]
        case.star = given()
        case.call[name] = value
        if name == "observation_model":
            case.call = {name: value}
        what = f"{name} = {value!r}"
    case.tell(what, must_refuse=what)
    if what in _UNSURE:
        case.tell("or read", must_refuse="", may_refuse=True, known=False)
    return case


# What may be read, with a result that is right or flagged.
_UNSURE = {"inverted mask", "sigma with a unit alone", "other wavelengths", "mask of text",
           "continuum_degree = True", "velocity = None", "shuffled",
           "priors = {'teff': (nan, 5.0)}", "a list with None"}  # fmt: skip
