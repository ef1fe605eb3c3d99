"""Settings of the forward model: each kinematic or instrumental parameter held or fitted."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skphx._domain import KINEMATIC_PARAMETERS, check_medium
from skphx._plain import float_array
from skphx.observing._forward_model import ForwardModel
from skphx.observing._line_mask import LineMask, check_line_mask
from skphx.observing._medium import to_medium
from skphx.observing._observed_spectrum import ObservedSpectrum, StarLike, as_segments
from skphx.observing._units import plain_number, speed_in_km_per_s


def check_observation_model(observation_model: Any, name: str = "observation_model") -> None:
    """Raise unless the value is an ObservationModel or None.

    Parameters
    ----------
    observation_model : object
        The value.
    name : str
        Name of the argument, for the message.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    if observation_model is not None and not isinstance(observation_model, ObservationModel):
        raise TypeError(
            f"{name} must be an ObservationModel of skphx.inference or None, got "
            f"{type(observation_model).__name__}; write ObservationModel(velocity=..., ...)."
        )


@dataclass(frozen=True)
class ObservationModel:
    """Settings of the forward model from a star to its observed pixels.

    Keep them with a model, ``StellarParameterEstimator(..., observation_model=...)``, or pass
    them to `infer` in place of its keywords.

    Parameters
    ----------
    velocity, vsini, macroturbulence : float or tuple (low, high), or Quantity
        Radial velocity, v sin i and ζ_RT in km/s: a number is held, a parameter with a range is
        fitted within the range. Quantities are converted.
    resolution : float, function, tuple (low, high) or None
        λ/FWHM. A number, or a function of the wavelengths in Å, is for segments that have no
        resolution of their own; a range is fitted, one value for all segments.
    medium : {"air", "vacuum"} or None
        Medium of segments that have none of their own.
    continuum_degree : int, None or "default"
        Degree of the polynomial of each segment that multiplies the model; None is no
        polynomial, ``"default"`` is the `continuum_degree` of the estimator.
    limb_darkening : float
        Linear limb-darkening coefficient, for the rotation.
    line_mask : LineMask or None
        Pixels near lines of these species, at the star's velocity, are left out.

    Raises
    ------
    TypeError
        If `line_mask` is not a LineMask.
    ValueError
        If a value is out of its range.

    Examples
    --------
    >>> from skphx.inference import ObservationModel
    >>> gaia = ObservationModel(velocity=(-300, 300), vsini=(0, 60), resolution=11_500)
    >>> gaia.free
    ('velocity', 'vsini')
    """

    velocity: float | tuple[float, float] = 0.0
    vsini: float | tuple[float, float] = 0.0
    macroturbulence: float | tuple[float, float] = 0.0
    resolution: float | tuple[float, float] | Callable[[NDArray[np.float64]], ArrayLike] | None = (
        None
    )
    medium: Literal["air", "vacuum"] | None = None
    continuum_degree: int | Literal["default"] | None = "default"
    limb_darkening: float = 0.6
    line_mask: LineMask | None = None

    def __post_init__(self):
        for name in KINEMATIC_PARAMETERS:
            read = plain_number if name == "resolution" else speed_in_km_per_s
            value = _held_or_range(read(name, getattr(self, name)))
            object.__setattr__(self, name, value)
            if name == "resolution" and (value is None or callable(value)):
                continue
            pair = float_array(value, name)
            if pair.shape not in ((), (2,)) or not np.isfinite(pair).all():
                raise ValueError(
                    f"{name} must be a number, to hold it, or (low, high), to fit it, got "
                    f"{value!r}."
                    + (
                        " An array with a number for each pixel is given with the star: "
                        '{..., "resolution": array}.'
                        if name == "resolution"
                        else ""
                    )
                )
            if pair.shape == (2,) and not pair[0] < pair[1]:
                raise ValueError(f"{name} must be (low, high) with low < high, got {value!r}.")
            if name != "velocity" and pair.min() < 0:
                raise ValueError(f"{name} must not be negative, got {value!r}.")
            if name == "resolution" and not pair.min() > 0:
                raise ValueError(f"resolution must be positive, λ/FWHM, got {value!r}.")
        check_medium(self.medium)
        check_line_mask(self.line_mask)
        limb_darkening = float_array(self.limb_darkening, "limb_darkening")
        if limb_darkening.shape != () or not 0.0 <= limb_darkening <= 1.0:
            raise ValueError(f"limb_darkening must be from 0 to 1, got {self.limb_darkening!r}.")
        degree = self.continuum_degree
        if isinstance(degree, str) and degree == "default":
            return
        if degree is not None and not (isinstance(degree, int | np.integer) and degree >= 0):
            raise ValueError(
                f"continuum_degree must be an integer from 0, or None for spectra whose continuum "
                f"is 1, or 'default', got {degree!r}."
            )

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the kinematic and instrumental parameters to fit."""
        return tuple(name for name in KINEMATIC_PARAMETERS if np.ndim(getattr(self, name)) == 1)

    @property
    def ranges(self) -> NDArray[np.float64]:
        """Lower and upper value of each such parameter, shape (4, 2); equal if it is held."""
        ranges = np.zeros((len(KINEMATIC_PARAMETERS), 2))
        for row, name in enumerate(KINEMATIC_PARAMETERS):
            value = getattr(self, name)
            # A resolution that is held is a property of the segments.
            if value is not None and (name != "resolution" or np.ndim(value) == 1):
                ranges[row] = value
        return ranges

    def segments_of(
        self, star: StarLike, medium: Literal["air", "vacuum"] | None
    ) -> list[ObservedSpectrum]:
        """Return the segments of a star with wavelengths in the emulator's medium.

        Parameters
        ----------
        star : ObservedSpectrum, mapping, table, spectrum object, or sequence of these
            As `StellarParameterEstimator.infer` takes it.
        medium : {"air", "vacuum"} or None
            Medium of the emulator.

        Returns
        -------
        list of ObservedSpectrum
            Copies.

        Raises
        ------
        ValueError
            If only one of the two media is known.
        """
        held = None if "resolution" in self.free else self.resolution
        segments = as_segments(star, medium=self.medium, resolution=held)
        converted = []
        for segment in segments:
            wavelength = to_medium(
                segment.wavelength, segment.medium, medium, name="the observed spectrum"
            )
            # The wavelengths are now in the medium of the emulator.
            converted.append(replace(segment, wavelength=wavelength, medium=medium))
        return converted

    def forward_model_to(self, segments: list[ObservedSpectrum], emulator: Any) -> ForwardModel:
        """Return the forward model from an emulator to segments in its medium.

        Parameters
        ----------
        segments : list of ObservedSpectrum
            From `segments_of`.
        emulator : estimator
            Fitted emulator.

        Returns
        -------
        ForwardModel
            For all velocities and broadenings within `ranges`.
        """
        ranges = self.ranges
        low, high = ranges[3]
        return ForwardModel(
            emulator.wavelength_,
            segments,
            max_velocity=float(np.abs(ranges[0]).max()),
            max_broadening=float(ranges[1, 1] + 2.0 * ranges[2, 1]),
            resolution_range=(low, high) if high > 0 else None,
            limb_darkening=self.limb_darkening,
            model_resolution=getattr(emulator, "resolution_", None),
        )


def _held_or_range(value):
    """Return a range given as an array or a list as a tuple, and other values as they are."""
    if isinstance(value, list | np.ndarray) and np.shape(value) == (2,):
        return tuple(float(end) for end in value)
    return value
