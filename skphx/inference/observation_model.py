"""What happens to the light of observed stars, as users say it: held at numbers or fitted."""

from dataclasses import dataclass, replace

import numpy as np

from skphx.observing._light_path import EFFECTS, LightPath
from skphx.observing._medium import to_medium
from skphx.observing._spectrum import as_chunks


@dataclass(frozen=True)
class ObservationModel:
    """What happens to light between a star and its pixels: each effect held or fitted.

    Parameters
    ----------
    velocity, vsini, macroturbulence : float or tuple (low, high)
        Radial velocity, v sin i and ζ_RT in km/s: a number is held, a range is fitted within.
    resolution : float, tuple (low, high) or None
        λ/FWHM of chunks that do not say theirs; a range is fitted, one value for all chunks.
    medium : {"air", "vacuum"} or None
        Of chunks that do not say theirs.
    continuum_degree : int or None
        Degree of the polynomial of each chunk that multiplies the model; None has none.
    limb_darkening : float
        Linear coefficient of the rotation.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    velocity: object = 0.0
    vsini: object = 0.0
    macroturbulence: object = 0.0
    resolution: object = None
    medium: str | None = None
    continuum_degree: int | None = 3
    limb_darkening: float = 0.6

    def __post_init__(self):
        for name in EFFECTS:
            value = getattr(self, name)
            if value is None and name == "resolution":
                continue
            pair = np.asarray(value, dtype=np.float64)
            if pair.shape not in ((), (2,)) or not np.isfinite(pair).all():
                raise ValueError(
                    f"{name} must be a number, to hold it, or (low, high), to fit it, got "
                    f"{value!r}."
                )
            if pair.shape == (2,) and not pair[0] < pair[1]:
                raise ValueError(f"{name} must be (low, high) with low < high, got {value!r}.")
            if name != "velocity" and pair.min() < 0:
                raise ValueError(f"{name} must not be negative, got {value!r}.")
        degree = self.continuum_degree
        if degree is not None and not (isinstance(degree, int | np.integer) and degree >= 0):
            raise ValueError(
                f"continuum_degree must be an integer from 0, or None for spectra whose continuum "
                f"is 1, got {degree!r}."
            )

    @property
    def free(self):
        """Names of the effects to fit."""
        return tuple(name for name in EFFECTS if np.ndim(getattr(self, name)) == 1)

    @property
    def ranges(self):
        """Lower and upper value of each effect, shape (4, 2); equal where held."""
        ranges = np.zeros((len(EFFECTS), 2))
        for row, name in enumerate(EFFECTS):
            value = getattr(self, name)
            # A resolution that is held belongs to the chunks.
            if value is not None and (name != "resolution" or np.ndim(value) == 1):
                ranges[row] = value
        return ranges

    def chunks_of(self, star, medium):
        """Chunks of a star with their wavelengths in the emulator's medium.

        Parameters
        ----------
        star : ObservedSpectrum, mapping, or sequence of these
            As `StellarParameterEstimator.infer` takes it.
        medium : {"air", "vacuum"} or None
            Of the emulator.

        Returns
        -------
        list of ObservedSpectrum
            Copies.

        Raises
        ------
        ValueError
            If only one of the media is known.
        """
        held = self.resolution if np.ndim(self.resolution) == 0 else None
        chunks = as_chunks(star, medium=self.medium, resolution=held)
        converted = []
        for chunk in chunks:
            wavelength = to_medium(
                chunk.wavelength, chunk.medium, medium, name="the observed spectrum"
            )
            # The medium is the emulator's from here on.
            converted.append(replace(chunk, wavelength=wavelength, medium=medium))
        return converted

    def path_to(self, chunks, emulator):
        """Light path from an emulator to chunks of its medium.

        Parameters
        ----------
        chunks : list of ObservedSpectrum
            From `chunks_of`.
        emulator : estimator
            Fitted.

        Returns
        -------
        LightPath
            With room for all velocities that are allowed.
        """
        ranges = self.ranges
        return LightPath(
            emulator.wavelength_,
            chunks,
            max_velocity=float(np.abs(ranges[0]).max()),
            max_broadening=float(ranges[1, 1] + 2.0 * ranges[2, 1]),
            resolution_range=tuple(ranges[3]) if ranges[3, 1] > 0 else None,
            limb_darkening=self.limb_darkening,
            model_resolution=getattr(emulator, "resolution_", None),
        )
