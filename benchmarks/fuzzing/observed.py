"""A spectrum that is written to a file, and what must be read from it."""

import dataclasses
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy import units

from fuzzing.judging import Wrong
from skphx.datasets import load_spectrum

C_BITS = (1, 2, 4, 64, 4096)


@dataclass
class Spectrum:
    """Arrays as a file holds them, with an answer that is right.

    Arrays have shape (n_orders, n_pixels): `wavelength` in Å, flux and errors in `unit`.
    """

    wavelength: np.ndarray
    flux: np.ndarray
    sigma: np.ndarray | None
    flagged: np.ndarray
    unit: str | None = None
    medium: str | None = None

    @property
    def bad(self):
        """Pixels that must be masked or left out."""
        with np.errstate(invalid="ignore"):
            bad = self.flagged | ~np.isfinite(self.flux)
            bad |= ~(np.isfinite(self.wavelength) & (self.wavelength > 0))
            if self.sigma is not None:
                bad |= ~(np.isfinite(self.sigma) & (self.sigma > 0))
        return bad


@dataclass
class Case:
    """A file, the call that reads it, and what is right.

    `known` is False where bytes were damaged: then anything that is consistent is right.
    """

    kind: str
    content: bytes
    call: dict
    spectrum: Spectrum
    known: bool = True
    may_refuse: bool = False
    must_refuse: str = ""
    must_warn: str = ""
    may_lose_sigma: bool = False
    may_lose_mask: bool = False
    may_lose_pixels: bool = False
    rtol_wavelength: float = 1e-9
    rtol: float = 1e-6
    name: str = "star.file"
    log: list = field(default_factory=list)

    @property
    def story(self):
        """How the file was made."""
        return ", ".join([*self.log, f"call {self.call}"])

    @property
    def words(self):
        """What a message must name, one of them."""
        return (self.name,)

    def tell(self, what, **changes):
        """Note a mutation, and change what is expected."""
        self.log.append(what)
        for name, value in changes.items():
            setattr(self, name, value)

    def run(self):
        """Read the file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / self.name
            path.write_bytes(self.content)
            return load_spectrum(path, **self.call)

    def check(self, star, messages):
        """Raise Wrong unless the star is what was written."""
        check_form(star)
        if not self.known:
            return
        if self.must_warn and not messages:
            raise Wrong(f"no warning, though {self.must_warn}")
        if self.spectrum.medium is not None and star.medium != self.spectrum.medium:
            raise Wrong(f"medium {star.medium}, not {self.spectrum.medium}")
        self._compare(star, messages)

    def _compare(self, star, messages):
        written = self.spectrum
        bad = written.bad
        if star.sigma is None and written.sigma is not None:
            if not (self.may_lose_sigma and messages):
                raise Wrong("errors are lost without a word")
            bad = dataclasses.replace(written, sigma=None).bad
        if star.sigma is not None and written.sigma is None:
            raise Wrong("there were no errors, and sigma is an array")
        place, good = self._matched(star)
        flux = _converted(star, star.flux[good], star.wavelength[good], written.unit)
        expected = written.flux.ravel()[place]
        if not np.allclose(flux, expected, rtol=self.rtol, atol=1e-12 * self._level):
            raise Wrong(f"flux {flux[:3]} in {star.units['flux']}, not {expected[:3]}")
        if star.sigma is not None:
            sigma = _converted(star, star.sigma[good], star.wavelength[good], written.unit)
            expected = written.sigma.ravel()[place]
            if not np.allclose(sigma, expected, rtol=3 * self.rtol, atol=0):
                raise Wrong(f"sigma {sigma[:3]}, not {expected[:3]}")
        bad = bad.ravel()
        if bad[place].any() and not (self.may_lose_mask and messages):
            raise Wrong(f"{bad[place].sum()} bad pixels of {len(place)} are called good")
        lost = ~bad
        lost[place] = False
        if lost.any() and not (self.may_lose_pixels and messages):
            raise Wrong(f"{lost.sum()} of {(~bad).sum()} good pixels are lost")

    @property
    def _level(self):
        finite = self.spectrum.flux[np.isfinite(self.spectrum.flux)]
        return np.median(np.abs(finite)) if finite.size else 1.0

    def _matched(self, star):
        """Return places in the spectrum of the good pixels of a star."""
        good = ~star.mask
        found = star.wavelength[good]
        written = np.where(np.isfinite(self.spectrum.wavelength), self.spectrum.wavelength, -1.0)
        order = np.argsort(written.ravel(), kind="stable")
        ordered = written.ravel()[order]
        right = np.clip(np.searchsorted(ordered, found), 1, len(ordered) - 1)
        left = right - 1
        nearer = np.abs(ordered[left] - found) <= np.abs(ordered[right] - found)
        place = np.where(nearer, left, right)
        off = np.abs(ordered[place] / found - 1)
        if (off > self.rtol_wavelength).any():
            worst = int(np.argmax(off))
            raise Wrong(
                f"a pixel at {found[worst]:.8g} Å, the nearest {ordered[place[worst]]:.8g}"
            )
        return order[self._twins(star, good, ordered, place, order)], good

    def _twins(self, star, good, ordered, place, order):
        """Of pixels that share a wavelength take the one with the same flux."""
        flux = _converted(star, star.flux[good], star.wavelength[good], self.spectrum.unit)
        written = self.spectrum.flux.ravel()[order]
        same = np.flatnonzero(np.diff(ordered) <= 1e-10 * ordered[1:])
        for first in same:
            for here in np.flatnonzero((place == first) | (place == first + 1)):
                pair = np.array([first, first + 1])
                off = np.abs(written[pair] - flux[here])
                if np.isfinite(off).any():
                    place[here] = pair[np.nanargmin(off)]
        return place


def check_form(star):
    """Raise Wrong unless arrays fit together and are plausible."""
    shape = star.flux.shape
    if star.wavelength.shape != shape or star.mask.shape != shape or star.mask.dtype != bool:
        raise Wrong("shapes of wavelength, flux and mask differ")
    if star.sigma is not None and star.sigma.shape != shape:
        raise Wrong("shape of sigma differs")
    if star.flux.ndim not in (1, 2) or star.flux.shape[-1] < 2:
        raise Wrong(f"shape {shape}")
    at, good = star.wavelength, ~star.mask
    if not np.isfinite(at).all() or (np.diff(at, axis=-1) <= 0).any():
        raise Wrong("wavelengths do not increase")
    if at[good].min(initial=1e3) < 500 or at[good].max(initial=1e3) > 6e5:
        raise Wrong(f"wavelengths from {at[good].min()} to {at[good].max()}")
    if not good.any() or not np.isfinite(star.flux[good]).all():
        raise Wrong("good pixels without flux, or none")
    if star.sigma is not None and not (
        np.isfinite(star.sigma[good]).all() and (star.sigma[good] > 0).all()
    ):
        raise Wrong("good pixels with errors that are none")
    if star.medium not in ("air", "vacuum") or not isinstance(star.DESCR, str):
        raise Wrong("no medium, or no description")
    if star.resolution is not None and not star.resolution > 0:
        raise Wrong(f"resolution {star.resolution}")


def _converted(star, values, wavelength, unit):
    """Numbers of a star in the unit in which they were written."""
    own = star.units["flux"]
    if not unit or not own or own == unit:
        return values
    try:
        return units.Quantity(values, own).to_value(
            units.Unit(unit), units.spectral_density(wavelength * units.AA)
        )
    except (ValueError, units.UnitsError):
        raise Wrong(f"unit of the flux {own!r}, written in {unit!r}") from None


def random_spectrum(rng, *, n_orders=1, level=None, with_sigma=None, axis=None):
    """Draw a spectrum.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of random numbers.
    n_orders : int
        Number of orders, of different wavelengths.
    level : float or None
        Level of the flux.
    with_sigma : bool or None
        Whether there are errors.
    axis : {"linear", "log", "odd"} or None
        How pixels are spaced.

    Returns
    -------
    Spectrum
        The spectrum.
    """
    n = int(rng.choice([3, 25, 60, 120]))
    start = rng.uniform(3000.0, 15_000.0)
    axis = axis or str(rng.choice(["linear", "log", "odd"]))
    rows = []
    width = rng.uniform(2e-5, 2e-4)
    for order in range(n_orders):
        step = start * width * rng.uniform(0.8, 1.2)
        if axis == "linear":
            row = start + step * np.arange(n)
        elif axis == "log":
            row = start * np.exp(step / start * np.arange(n))
        else:
            row = start + step * (np.arange(n) + rng.uniform(0, 0.4, n))
        rows.append(row)
        overlap = 0.1 if order % 2 else -0.3
        start = row[-1] - overlap * (row[-1] - row[0])
    wavelength = np.array(rows)
    level = level or float(rng.choice([1.0, 1.0, 3.7e-15, 2.5e4]))
    flux = level * (1.0 - rng.uniform(0, 0.8) * rng.random(wavelength.shape) ** 4)
    sigma = level * rng.uniform(0.004, 0.05, wavelength.shape)
    if with_sigma is None:
        with_sigma = rng.random() < 0.8
    flagged = np.zeros(wavelength.shape, dtype=bool)
    return Spectrum(wavelength, flux, sigma if with_sigma else None, flagged)


def some(rng, n, *, most=4):
    """Draw a few of n pixels, but not all."""
    return rng.choice(n, size=int(rng.integers(1, max(2, min(most, n // 3) + 1))), replace=False)
