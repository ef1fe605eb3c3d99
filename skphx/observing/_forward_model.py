"""The forward model as one linear operator on model flux, with derivatives and adjoint."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft
from scipy.sparse import csr_array, vstack

from skphx._domain import FWHM_PER_SIGMA, KINEMATIC_PARAMETERS, SPEED_OF_LIGHT, check_wavelength
from skphx.observing import _kernels as kernels
from skphx.observing._model_gaps import model_gaps
from skphx.observing._observed_spectrum import StarLike, as_segments
from skphx.observing._resampling import interpolation_matrix
from skphx.observing._unit_hint import check_overlap
from skphx.observing._units import plain_number, speed_in_km_per_s
from skphx.observing._varying_resolution import (
    bins_of_variance,
    broadened_pixel_matrix,
    clipped_pixel_matrix,
)

# Samples per standard deviation of the narrowest line-spread function, after the convolution with
# it. The power at the highest frequency is then below exp(-40).
_SAMPLES_PER_SIGMA = 3.0
# Gaussians are cut at so many standard deviations.
_REACH = 5.0


class ForwardModel:
    """Model flux as an instrument observes it: one operator, linear in flux.

    The model is interpolated onto a grid of equal velocity steps. There, radial velocity is a
    shift, and rotation, macroturbulence and a line-spread function of constant resolution are
    convolutions: a phase and real factors of the Fourier transform. The result is averaged over
    each pixel: ``observed = P F⁻¹ T(θ) F L model``, where L interpolates, F is the Fourier
    transform, P averages, and T(θ) is the transfer function of the kinematic and instrumental
    parameters θ. Derivatives are analytic: those with respect to stellar parameters are the
    same operator applied to ∂model/∂p, and those with respect to θ have ∂T/∂θ in place of T.
    If the resolution of a segment changes along the spectrum, T holds the narrowest of similar
    line-spread functions, and P what is missing at each pixel.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_samples,)
        Wavelengths of the model at rest, Å; the model must be well sampled.
    segments : ObservedSpectrum, mapping, or sequence of these
        Observed pixels, in the medium of `wavelength`, with their resolution, line-spread
        matrix and velocity. Flux, errors and mask are not used.
    max_velocity : float
        Largest absolute radial velocity that will be used, km/s.
    max_broadening : float
        Largest v sin i plus largest macroturbulence that will be used, km/s.
    resolution_range : tuple (low, high) or None
        Range of a resolution that is a free parameter; it replaces the resolutions of the
        segments. None uses these.
    limb_darkening : float
        Linear limb-darkening coefficient, for the rotation.
    model_resolution : float or None
        Resolution of the model; None means that the model is not broadened.

    Attributes
    ----------
    n_pixels : int
        Number of pixels of all segments together.
    segment_slices : list of slice
        Pixels of each segment, in the arrays of all pixels.
    centres : list of ndarray of shape (n_segment_pixels,)
        Pixel centres of each segment in Å, in its own rest frame.
    line_width : float
        FWHM of the narrowest line-spread function of all segments, km/s; 0 if none is known.
    needed : tuple (low, high)
        Range of model wavelengths that contribute to the covered pixels, Å.
    covered : ndarray of shape (n_pixels,), bool
        Pixels for which the model has all contributing wavelengths, within `max_velocity` and
        the broadening. For other pixels the model is continued with its value at the end, and
        interpolated across a gap in its wavelengths.

    Raises
    ------
    ValueError
        If a limit is out of range, no pixel is covered, the model's resolution is lower than
        that of the pixels, or the wavelengths of a segment are in another unit than Å.

    Notes
    -----
    v sin i and macroturbulence are arguments in km/s, but derivatives are with respect to their
    **squares**: the spectrum is a smooth function of the squares, also where they are 0.

    References
    ----------
    Gray, "The Observation and Analysis of Stellar Photospheres", chapters 17 and 18.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.observing import ForwardModel, ObservedSpectrum
    >>> wavelength = np.linspace(8500.0, 8520.0, 2001)
    >>> model = 1.0 - 0.8 * np.exp(-0.5 * ((wavelength - 8510.0) / 0.1) ** 2)
    >>> pixels = np.arange(8503.0, 8517.0, 0.1)
    >>> forward = ForwardModel(
    ...     wavelength,
    ...     ObservedSpectrum(pixels, np.ones_like(pixels), resolution=11_500),
    ...     max_velocity=50.0,
    ...     max_broadening=20.0,
    ... )
    >>> observed = forward.observe(model[None], velocity=[40.0], vsini=[10.0])
    >>> round(float(pixels[observed[0].argmin()]), 1)
    8511.1
    """

    def __init__(
        self,
        wavelength: ArrayLike,
        segments: StarLike,
        *,
        max_velocity: float = 0.0,
        max_broadening: float = 0.0,
        resolution_range: tuple[float, float] | None = None,
        limb_darkening: float = 0.6,
        model_resolution: float | None = None,
    ) -> None:
        model_wavelength = check_wavelength(wavelength)
        observed = as_segments(segments)
        max_velocity = speed_in_km_per_s("max_velocity", max_velocity)
        max_broadening = speed_in_km_per_s("max_broadening", max_broadening)
        for name, value in (("max_velocity", max_velocity), ("max_broadening", max_broadening)):
            if not 0.0 <= value < 1e5:
                raise ValueError(f"{name} must be 0 or more, in km/s, got {value}.")
        if not 0.0 <= limb_darkening <= 1.0:
            raise ValueError(f"limb_darkening must be from 0 to 1, got {limb_darkening}.")
        self.limb_darkening = limb_darkening
        self.resolution_range = resolution_range
        self._model_variance = (
            0.0 if model_resolution is None else kernels.variance_of_resolution(model_resolution)
        )
        variances = self._variances(observed, resolution_range, model_resolution)
        widest = max(float(np.max(variance)) for variance in variances)
        reach = max_velocity + max_broadening + _REACH * np.sqrt(widest)
        low, high, starts = _rest_edges(observed)
        self.segment_slices = [slice(a, b) for a, b in pairwise(starts)]
        self.n_pixels = starts[-1]
        self.centres = [0.5 * (low[where] + high[where]) for where in self.segment_slices]
        margin = reach / SPEED_OF_LIGHT
        first, last = model_wavelength[[0, -1]]
        self.covered = (low * (1 - margin) >= first) & (high * (1 + margin) <= last)
        check_overlap(
            [(low[where].min(), high[where].max()) for where in self.segment_slices], (first, last)
        )
        for start, stop in model_gaps(model_wavelength):
            self.covered &= (high * (1 + margin) <= start) | (low * (1 - margin) >= stop)
        if not self.covered.any():
            raise ValueError(
                f"the model must cover the pixels and {reach:.0f} km/s on either side, but it "
                f"reaches from {first:.6g} to {last:.6g} Å and the pixels from {low.min():.6g} to "
                f"{high.max():.6g} Å; give a model of more wavelengths, or reduce the velocities "
                f"allowed."
            )
        # The margins also hold the neighbouring samples that interpolation uses.
        self.needed = (
            low[self.covered].min() * (1 - 1.5 * margin) - 1.0,
            high[self.covered].max() * (1 + 1.5 * margin) + 1.0,
        )
        self._make_velocity_grid(model_wavelength, low, high, margin)
        self._group_segments(observed, variances, low, high)

    def _variances(self, segments, resolution_range, model_resolution):
        """Return the variance of the Gaussian to apply to each segment, km²/s².

        It is an array for each segment whose resolution changes along it. If the resolution is
        free, it is the largest variance.
        """
        if resolution_range is None:
            resolutions = [segment.resolution for segment in segments]
        else:
            if not 0 < resolution_range[0] <= resolution_range[1]:
                raise ValueError(
                    f"resolution_range must be (low, high) with 0 < low <= high, got "
                    f"{resolution_range}."
                )
            resolutions = [resolution_range[0]] * len(segments)
        known = [r for r in (*resolutions, *(resolution_range or ())) if r is not None]
        if self._model_variance > 0 and any(r is None for r in resolutions):
            raise ValueError(
                f"the model has a resolution of {model_resolution:.6g}, so every segment must "
                f"have one; set resolution."
            )
        highest = max((float(np.max(r)) for r in known), default=0.0)
        # Resolutions that are equal up to rounding need no further convolution.
        if model_resolution is not None and highest > model_resolution * (1 + 1e-9):
            raise ValueError(
                f"the model has a resolution of {model_resolution:.6g} and cannot be observed "
                f"at {highest:.6g}; compile it for the instrument's resolution."
            )
        return [
            0.0
            if r is None
            else np.maximum(kernels.variance_of_resolution(r) - self._model_variance, 0.0)
            for r in resolutions
        ]

    def _make_velocity_grid(self, wavelength, low, high, margin):
        """Make the grid of equal velocity steps, and the matrix that interpolates onto it."""
        start = max(wavelength[0], low[self.covered].min() * (1 - 1.5 * margin))
        stop = min(wavelength[-1], high[self.covered].max() * (1 + 1.5 * margin))
        logs = np.log(wavelength)
        inside = (wavelength >= start * (1 - 1e-4)) & (wavelength <= stop * (1 + 1e-4))
        step = np.diff(logs[inside]).min()
        n_inside = int(np.ceil((np.log(stop) - np.log(start)) / step)) + 1
        # Padding: the discrete Fourier transform is periodic, so shifts and convolutions mix the
        # two ends of the spectrum.
        n_pad = max(64, int(2.2 * margin / step) + 16)
        self._n_steps = fft.next_fast_len(n_inside + n_pad, real=True)
        if self._n_steps % 2:
            self._n_steps = fft.next_fast_len(self._n_steps + 1, real=True)
        steps = np.log(start) + step * np.arange(self._n_steps)
        self._log_start, self._step = np.log(start), step
        within = np.flatnonzero(steps <= np.log(stop))
        onto = interpolation_matrix(logs, np.clip(steps[within], logs[0], logs[-1]))
        # In the padding, a cosine from the last value to the first keeps the periodic spectrum
        # continuous.
        n_padded = self._n_steps - len(within)
        ramp = 0.5 * (1 - np.cos(np.pi * (np.arange(n_padded) + 1.0) / (n_padded + 1.0)))
        ends = vstack([onto[[-1]], onto[[0]]])
        self._onto_steps = vstack(
            [onto, csr_array(np.column_stack([1.0 - ramp, ramp])) @ ends], format="csr"
        )
        self._from_steps = self._onto_steps.T.tocsr()
        self._velocity_step = step * SPEED_OF_LIGHT

    def _group_segments(self, segments, variances, low, high):
        """Group pixels of one resolution, which share transfer function and coarser steps.

        Pixels of similar resolution are a group, too, if it changes along a segment.
        """
        narrowest = variances
        if self.resolution_range is not None:
            narrow = kernels.variance_of_resolution(self.resolution_range[1])
            narrowest = [max(narrow - self._model_variance, 0.0)] * len(segments)
        smallest = min(float(np.min(variance)) for variance in narrowest)
        self.line_width = FWHM_PER_SIGMA * np.sqrt(smallest + self._model_variance)
        constant: dict[float, list[int]] = {}
        changing = {}
        for number, variance in enumerate(narrowest):
            if np.ndim(variance) == 0:
                constant.setdefault(float(variance), []).append(number)
            else:
                changing[number] = variance + self._model_variance
        self._groups: list[dict[str, Any]] = []
        for variance, members in constant.items():
            nodes, group = self._make_group(variance)
            parts = []
            for number in members:
                where = self.segment_slices[number]
                matrix = clipped_pixel_matrix(nodes, low[where], high[where])
                spread = segments[number].line_spread
                rows = np.arange(where.start, where.stop)
                parts.append((rows, matrix if spread is None else spread @ matrix))
            self._finish_group(group, parts)
        for total, bin_members in bins_of_variance(changing):
            nodes, group = self._make_group(max(total - self._model_variance, 0.0))
            parts = []
            for number, pixels in bin_members.items():
                rows = self.segment_slices[number].start + pixels
                excess = changing[number][pixels] - total
                matrix = broadened_pixel_matrix(nodes, low[rows], high[rows], excess)
                spread = segments[number].line_spread
                if spread is not None:
                    # The matrix mixes pixels of several groups, which are added up.
                    where = self.segment_slices[number]
                    rows = np.arange(where.start, where.stop)
                    matrix = spread[:, pixels] @ matrix
                parts.append((rows, matrix))
            self._finish_group(group, parts)

    def _make_group(self, variance):
        """Return the samples of a group in Å, and the group without its pixels.

        Parameters
        ----------
        variance : float
            Variance of the group's Gaussian, km²/s².
        """
        total = variance + self._model_variance
        n_out = self._n_steps
        if total > 0:
            wanted = np.sqrt(total) / _SAMPLES_PER_SIGMA
            n_wanted = self._n_steps * self._velocity_step / wanted
            n_out = min(n_out, fft.next_fast_len(int(np.ceil(n_wanted)), real=True))
            n_out += n_out % 2
        n_out = min(n_out, self._n_steps)
        step = self._step * self._n_steps / n_out
        omega = 2.0 * np.pi * np.arange(n_out // 2 + 1)
        omega /= self._n_steps * self._velocity_step
        nodes = np.exp(self._log_start + step * np.arange(n_out))
        return nodes, {"variance": variance, "n_out": n_out, "omega": omega}

    def _finish_group(self, group, parts):
        """Add the pixels of a group, and keep the group.

        Parameters
        ----------
        group : dict
            From `_make_group`.
        parts : list of tuple (rows, matrix)
            Numbers of the pixels of each segment, and the matrix from samples to them.
        """
        pixels = vstack([matrix for _, matrix in parts], format="csr")
        group["rows"] = np.concatenate([rows for rows, _ in parts])
        group["pixels"], group["adjoint"] = pixels, pixels.T.tocsr()
        self._groups.append(group)

    def observe(
        self,
        flux: NDArray[np.float64],
        velocity: ArrayLike = 0.0,
        vsini: ArrayLike = 0.0,
        macroturbulence: ArrayLike = 0.0,
        resolution: ArrayLike | None = None,
    ) -> NDArray[np.float64]:
        """Return model spectra as they are observed on the pixels.

        Parameters
        ----------
        flux : ndarray of shape (n_spectra, n_samples)
            Model flux at rest.
        velocity, vsini, macroturbulence : float or array-like of shape (n_spectra,)
            Radial velocity, v sin i and ζ_RT, km/s.
        resolution : float or array-like of shape (n_spectra,), or None
            Resolution, if `resolution_range` was given.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Mean flux of each pixel, segment after segment.
        """
        kinematics = np.empty((len(flux), len(KINEMATIC_PARAMETERS)))
        given = (velocity, vsini, macroturbulence, resolution)
        for column, (name, value) in enumerate(zip(KINEMATIC_PARAMETERS, given, strict=True)):
            read = plain_number if name == "resolution" else speed_in_km_per_s
            kinematics[:, column] = np.nan if value is None else read(name, value)
        return self.observe_with_derivatives(flux, None, kinematics, ())[0]

    def samples(
        self, flux: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return model spectra at the first segment's resolution, not averaged over pixels.

        The resolution must be one number.

        Parameters
        ----------
        flux : ndarray of shape (n_spectra, n_samples)
            Model flux at rest.

        Returns
        -------
        wavelength : ndarray of shape (n_steps,)
            Samples of equal velocity steps, Å, as fine as the resolution needs. Those beyond
            `needed` are padding.
        flux : ndarray of shape (n_spectra, n_steps)
            Flux there.
        """
        group = self._groups[0]
        n_out = group["n_out"]
        spectrum = fft.rfft(np.ascontiguousarray((self._onto_steps @ flux.T).T), axis=1)
        transfer, _ = self._transfer(group, np.zeros((1, len(KINEMATIC_PARAMETERS))), ())
        curve = fft.irfft(spectrum[:, : n_out // 2 + 1] * transfer, n=n_out, axis=1)
        step = self._step * self._n_steps / n_out
        nodes = np.exp(self._log_start + step * np.arange(n_out))
        return nodes, curve * (n_out / self._n_steps)

    @overload
    def observe_with_derivatives(
        self,
        flux: NDArray[np.float64],
        flux_jacobian: NDArray[np.float64],
        kinematics: NDArray[np.float64],
        by: Sequence[str],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...

    @overload
    def observe_with_derivatives(
        self,
        flux: NDArray[np.float64],
        flux_jacobian: None,
        kinematics: NDArray[np.float64],
        by: Sequence[str],
    ) -> tuple[NDArray[np.float64], None]: ...

    def observe_with_derivatives(
        self,
        flux: NDArray[np.float64],
        flux_jacobian: NDArray[np.float64] | None,
        kinematics: NDArray[np.float64],
        by: Sequence[str],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return observed spectra and their derivatives with respect to all parameters.

        Parameters
        ----------
        flux : ndarray of shape (n_spectra, n_samples)
            Model flux at rest.
        flux_jacobian : ndarray of shape (n_spectra, n_samples, n_parameters), or None
            Its derivatives with respect to the stellar parameters.
        kinematics : ndarray of shape (n_spectra, 4)
            Kinematic and instrumental parameters: velocity, v sin i, macroturbulence (km/s) and
            resolution (NaN: that of each segment).
        by : sequence of str
            Kinematic and instrumental parameters with respect to which to differentiate:
            "velocity" per km/s, "vsini" and "macroturbulence" per km²/s² of their squares,
            "resolution" per unit.

        Returns
        -------
        observed : ndarray of shape (n_spectra, n_pixels)
            Mean flux of each pixel.
        jacobian : ndarray of shape (n_spectra, n_parameters + len(by), n_pixels), or None
            Derivatives, stellar parameters first; None without `flux_jacobian`.
        """
        n_spectra = len(flux)
        if flux_jacobian is None:
            curves = flux[:, None]
        else:
            curves = np.concatenate([flux[:, None], np.moveaxis(flux_jacobian, 2, 1)], axis=1)
        n_curves = curves.shape[1]
        on_steps = self._onto_steps @ curves.reshape(n_spectra * n_curves, -1).T
        spectrum = fft.rfft(np.ascontiguousarray(on_steps.T), axis=1)
        spectrum = spectrum.reshape(n_spectra, n_curves, -1)
        by = () if flux_jacobian is None else by
        out = np.zeros((n_spectra, n_curves + len(by), self.n_pixels))
        for group in self._groups:
            n_out = group["n_out"]
            part = spectrum[:, :, : n_out // 2 + 1]
            transfer, slopes = self._transfer(group, kinematics, by)
            stack = np.empty((n_spectra, n_curves + len(by), n_out // 2 + 1), dtype=complex)
            np.multiply(part, transfer[:, None], out=stack[:, :n_curves])
            for place, slope in enumerate(slopes):
                np.multiply(part[:, 0], slope, out=stack[:, n_curves + place])
            curve = fft.irfft(stack, n=n_out, axis=2, overwrite_x=True)
            curve *= n_out / self._n_steps
            pixels = group["pixels"] @ curve.reshape(-1, n_out).T
            # A line-spread matrix may mix pixels of several groups.
            out[:, :, group["rows"]] += pixels.T.reshape(n_spectra, -1, len(group["rows"]))
        return out[:, 0], (None if flux_jacobian is None else out[:, 1:])

    def adjoint(
        self, pixels: NDArray[np.float64], kinematics: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Apply the transposed operator: from pixels to samples of the model.

        Parameters
        ----------
        pixels : ndarray of shape (n_spectra, n_vectors, n_pixels)
            Vectors on the pixels.
        kinematics : ndarray of shape (n_spectra, 4)
            As in `observe_with_derivatives`.

        Returns
        -------
        ndarray of shape (n_spectra, n_vectors, n_samples)
            The products Aᵀ `pixels`, where observe(f) = A f.
        """
        n_spectra, n_vectors = pixels.shape[:2]
        n_half = self._n_steps // 2 + 1
        spectrum = np.zeros((n_spectra, n_vectors, n_half), dtype=complex)
        for group in self._groups:
            n_out = group["n_out"]
            vectors = pixels[:, :, group["rows"]].reshape(n_spectra * n_vectors, -1)
            curve = np.ascontiguousarray((group["adjoint"] @ vectors.T).T)
            part = fft.rfft(curve, axis=1).reshape(n_spectra, n_vectors, -1)
            transfer, _ = self._transfer(group, kinematics, ())
            spectrum[:, :, : n_out // 2 + 1] += part * np.conj(transfer)[:, None]
        on_steps = fft.irfft(spectrum, n=self._n_steps, axis=2)
        back = self._from_steps @ on_steps.reshape(n_spectra * n_vectors, -1).T
        return back.T.reshape(n_spectra, n_vectors, -1)

    def _transfer(self, group, kinematics, by):
        """Return the transfer function of a group of segments, and its derivatives."""
        velocity, vsini, macro, resolution = kinematics.T
        omega = group["omega"]
        factors, slopes = {}, {}
        # A broadening that is 0 and not differentiated has no factor.
        if "vsini" in by or vsini.any():
            factors["vsini"], slopes["vsini"] = kernels.rotation(
                omega, vsini**2, self.limb_darkening
            )
        if "macroturbulence" in by or macro.any():
            factors["macroturbulence"], slopes["macroturbulence"] = kernels.macroturbulence(
                omega, macro**2
            )
        if self.resolution_range is not None:
            variance = kernels.variance_of_resolution(resolution) - self._model_variance
            factor, slope = kernels.gaussian(omega, variance)
            factors["resolution"] = factor
            total = variance + self._model_variance
            slopes["resolution"] = slope * (-2.0 * total / resolution)[:, None]
        elif group["variance"] > 0:
            factors["line spread"] = kernels.gaussian(omega, np.array([group["variance"]]))[0]
        shift, shift_slope = kernels.shift_of_velocity(velocity)
        phase = np.exp(-1j * shift[:, None] * omega)
        # With an even number of steps the highest frequency is real and cannot be shifted.
        phase[:, -1] = np.where(shift != 0, phase[:, -1].real, 1.0)
        transfer = phase.copy()
        for factor in factors.values():
            transfer *= factor
        derivatives = []
        for name in by:
            if name == "velocity":
                derivatives.append(transfer * (-1j * omega) * shift_slope[:, None])
                continue
            derivative = phase * slopes[name]
            for other, factor in factors.items():
                if other != name:
                    derivative *= factor
            derivatives.append(derivative)
        return transfer, derivatives


def _rest_edges(segments):
    """Return the pixel edges of all segments, and the first pixel of each segment.

    Edges are corrected for the known velocity of each segment.
    """
    low, high, starts = [], [], [0]
    for segment in segments:
        shift, _ = kernels.shift_of_velocity(segment.velocity)
        edges = segment.edges * np.exp(-shift / SPEED_OF_LIGHT)
        low.append(edges[:-1])
        high.append(edges[1:])
        starts.append(starts[-1] + len(edges) - 1)
    return np.concatenate(low), np.concatenate(high), starts
