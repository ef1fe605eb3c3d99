"""The way of the light as one linear operator on model flux, with derivatives and adjoint."""

from itertools import pairwise

import numpy as np
from scipy import fft
from scipy.sparse import csr_array, vstack

from skphx._validation import check_wavelength
from skphx.observing import _kernels as kernels
from skphx.observing._resampling import interpolation_matrix, pixel_matrix
from skphx.observing._spectrum import as_chunks

EFFECTS = ("velocity", "vsini", "macroturbulence", "resolution")
# Steps a standard deviation of the narrowest line-spread function once it is applied: the
# spectrum has then nothing beyond exp(-40) at the highest frequency.
_STEPS_PER_SIGMA = 3.0
# Standard deviations after which a Gaussian is over.
_REACH = 5.0


class LightPath:
    """From a model's samples to an instrument's pixels: one operator, linear in flux.

    The model is put on steps of equal velocity, where radial velocity is a shift and rotation,
    macroturbulence and a line-spread function of constant resolution are convolutions: phases
    and real factors of its Fourier transform. The result is integrated over the pixels. With
    θ the effects and T(θ) the transfer function, observed = P F⁻¹ T(θ) F L model, so that
    derivatives by stellar parameters are the same operator on ∂model/∂p, those by effects
    replace T with ∂T/∂θ, and all of it is analytic.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_samples,)
        Wavelengths of the model at rest in Å, well sampled.
    chunks : ObservedSpectrum, mapping, or sequence of these
        Pixels to observe on, in the medium of `wavelength`; what they hold of flux and mask is
        not looked at. Their resolution, line-spread matrix and velocity are.
    max_velocity : float
        Largest radial velocity in km/s, of either sign, that will be asked for.
    max_broadening : float
        Sum of the largest v sin i and macroturbulence in km/s that will be asked for.
    resolution_range : tuple (low, high) or None
        Range of resolutions that will be asked for as an effect, in place of the chunks' own.
    limb_darkening : float
        Coefficient of the linear law, for the rotation.
    model_resolution : float or None
        Resolution that the model has already; None is its natural one.

    Attributes
    ----------
    n_pixels : int
        Pixels of all chunks together.
    chunk_slices : list of slice
        Where each chunk's pixels are.
    centres : list of ndarray of shape (n_chunk_pixels,)
        Pixel centres of each chunk in Å, in its own rest frame.
    line_width : float
        FWHM in km/s of the narrowest line-spread function of all chunks, 0 where none is known.
    needed : tuple (low, high)
        Wavelengths of the model, in Å, whose light the covered pixels can see.
    covered : ndarray of shape (n_pixels,), bool
        Pixels for which the model has all the light that can fall into them. The others see
        the model's last value continued.

    Raises
    ------
    ValueError
        If a limit is out of range, no pixel is covered, or the model is less resolved than
        what it should be observed at.

    Notes
    -----
    v sin i and macroturbulence are given as such, and derivatives are by their **squares**, of
    which the spectrum is a smooth function also at rest.

    References
    ----------
    Gray, "The Observation and Analysis of Stellar Photospheres", chapters 17 and 18.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.observing import LightPath, ObservedSpectrum
    >>> wavelength = np.linspace(8500.0, 8520.0, 2001)
    >>> model = 1.0 - 0.8 * np.exp(-0.5 * ((wavelength - 8510.0) / 0.1) ** 2)
    >>> pixels = np.arange(8503.0, 8517.0, 0.1)
    >>> path = LightPath(
    ...     wavelength,
    ...     ObservedSpectrum(pixels, np.ones_like(pixels), resolution=11_500),
    ...     max_velocity=50.0,
    ...     max_broadening=20.0,
    ... )
    >>> observed = path.observe(model[None], velocity=[40.0], vsini=[10.0])
    >>> round(float(pixels[observed[0].argmin()]), 1)
    8511.1
    """

    def __init__(
        self,
        wavelength,
        chunks,
        *,
        max_velocity=0.0,
        max_broadening=0.0,
        resolution_range=None,
        limb_darkening=0.6,
        model_resolution=None,
    ):
        wavelength = check_wavelength(wavelength)
        chunks = as_chunks(chunks)
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
        variances = self._variances(chunks, resolution_range, model_resolution)
        reach = max_velocity + max_broadening + _REACH * np.sqrt(max(variances))
        low, high, starts = _rest_edges(chunks)
        self.chunk_slices = [slice(a, b) for a, b in pairwise(starts)]
        self.n_pixels = starts[-1]
        self.centres = [0.5 * (low[where] + high[where]) for where in self.chunk_slices]
        grow = reach / kernels.SPEED_OF_LIGHT
        self.covered = (low * (1 - grow) >= wavelength[0]) & (high * (1 + grow) <= wavelength[-1])
        if not self.covered.any():
            raise ValueError(
                f"the model must cover the pixels and {reach:.0f} km/s on either side, but it "
                f"reaches from {wavelength[0]:.6g} to {wavelength[-1]:.6g} Å and the pixels from "
                f"{low.min():.6g} to {high.max():.6g} Å; give a model of more wavelengths, or "
                f"allow less velocity."
            )
        # With room for the neighbours of interpolation and for what wraps around.
        self.needed = (
            low[self.covered].min() * (1 - 1.5 * grow) - 1.0,
            high[self.covered].max() * (1 + 1.5 * grow) + 1.0,
        )
        self._make_steps(wavelength, low, high, grow)
        self._group_chunks(chunks, variances, low, high)

    def _variances(self, chunks, resolution_range, model_resolution):
        """Variance of the Gaussian still to apply to each chunk, km²/s²; the largest if free."""
        if resolution_range is None:
            resolutions = [chunk.resolution for chunk in chunks]
        else:
            if not 0 < resolution_range[0] <= resolution_range[1]:
                raise ValueError(
                    f"resolution_range must be (low, high) with 0 < low <= high, got "
                    f"{resolution_range}."
                )
            resolutions = [resolution_range[0]] * len(chunks)
        if self._model_variance > 0 and None in resolutions:
            raise ValueError(
                f"the model has a resolution of {model_resolution:.6g}, so that every chunk "
                f"must say its own; set resolution."
            )
        asked = [r for r in (*resolutions, *(resolution_range or ())) if r is not None]
        highest = max(asked, default=None)
        # Equal up to rounding is equal: nothing is left to apply.
        if highest and self._model_variance > 0 and highest > model_resolution * (1 + 1e-9):
            raise ValueError(
                f"the model has a resolution of {model_resolution:.6g} and cannot be observed "
                f"at {highest:.6g}; compile it for the instrument's resolution."
            )
        return [
            0.0
            if r is None
            else max(kernels.variance_of_resolution(r) - self._model_variance, 0.0)
            for r in resolutions
        ]

    def _make_steps(self, wavelength, low, high, grow):
        """Lay steps of equal velocity over what the pixels need, and the model on them."""
        start = max(wavelength[0], low[self.covered].min() * (1 - 1.5 * grow))
        stop = min(wavelength[-1], high[self.covered].max() * (1 + 1.5 * grow))
        logs = np.log(wavelength)
        inside = (wavelength >= start * (1 - 1e-4)) & (wavelength <= stop * (1 + 1e-4))
        step = np.diff(logs[inside]).min()
        n_inside = int(np.ceil((np.log(stop) - np.log(start)) / step)) + 1
        # Room in which the ends meet, for shifted and broadened light comes in from there.
        n_pad = max(64, int(2.2 * grow / step) + 16)
        self._n_steps = fft.next_fast_len(n_inside + n_pad, real=True)
        if self._n_steps % 2:
            self._n_steps = fft.next_fast_len(self._n_steps + 1, real=True)
        steps = np.log(start) + step * np.arange(self._n_steps)
        self._log_start, self._step, self._n_inside = np.log(start), step, n_inside
        within = np.flatnonzero(steps <= np.log(stop))
        onto = interpolation_matrix(logs, np.clip(steps[within], logs[0], logs[-1]))
        # A cosine from the last value back to the first keeps the circle without a jump.
        n_room = self._n_steps - len(within)
        ramp = 0.5 * (1 - np.cos(np.pi * (np.arange(n_room) + 1.0) / (n_room + 1.0)))
        ends = vstack([onto[[-1]], onto[[0]]])
        self._onto_steps = vstack(
            [onto, csr_array(np.column_stack([1.0 - ramp, ramp])) @ ends], format="csr"
        )
        self._from_steps = self._onto_steps.T.tocsr()
        self._velocity_step = step * kernels.SPEED_OF_LIGHT

    def _group_chunks(self, chunks, variances, low, high):
        """Chunks of one resolution share a transfer function and its coarser steps."""
        if self.resolution_range is None:
            keys = [chunk.resolution for chunk in chunks]
            narrowest = variances
        else:
            keys = [None] * len(chunks)
            narrow = kernels.variance_of_resolution(self.resolution_range[1])
            narrowest = [max(narrow - self._model_variance, 0.0)] * len(chunks)
        self._groups = []
        self.line_width = kernels.FWHM_OF_SIGMA * np.sqrt(min(narrowest) + self._model_variance)
        for key in dict.fromkeys(keys):
            members = [i for i, other in enumerate(keys) if other == key]
            total = narrowest[members[0]] + self._model_variance
            n_out = self._n_steps
            if total > 0:
                wanted = np.sqrt(total) / _STEPS_PER_SIGMA
                n_wanted = self._n_steps * self._velocity_step / wanted
                n_out = min(n_out, fft.next_fast_len(int(np.ceil(n_wanted)), real=True))
                n_out += n_out % 2
            n_out = min(n_out, self._n_steps)
            step = self._step * self._n_steps / n_out
            nodes = np.exp(self._log_start + step * np.arange(n_out))
            rows = np.concatenate(
                [np.arange(self.n_pixels)[self.chunk_slices[i]] for i in members]
            )
            matrices = [self._pixels_of(chunks[i], i, nodes, low, high) for i in members]
            omega = 2.0 * np.pi * np.arange(n_out // 2 + 1)
            omega /= self._n_steps * self._velocity_step
            pixels = vstack(matrices, format="csr")
            self._groups.append(
                {
                    "variance": variances[members[0]],
                    "n_out": n_out,
                    "omega": omega,
                    "rows": rows,
                    "pixels": pixels,
                    "adjoint": pixels.T.tocsr(),
                }
            )

    def _pixels_of(self, chunk, number, nodes, low, high):
        where = self.chunk_slices[number]
        inside = nodes[0], nodes[-1]
        # Pixels that the model does not cover keep a row, of the nearest piece of the model.
        a = np.clip(low[where], inside[0], inside[1] * (1 - 1e-6))
        b = np.clip(high[where], inside[0] * (1 + 1e-6), inside[1])
        matrix = pixel_matrix(nodes, a, np.maximum(b, a * (1 + 1e-9)))
        return matrix if chunk.line_spread is None else chunk.line_spread @ matrix

    def observe(self, flux, velocity=0.0, vsini=0.0, macroturbulence=0.0, resolution=None):
        """Bring model spectra to the pixels.

        Parameters
        ----------
        flux : ndarray of shape (n_spectra, n_samples)
            Model flux at rest.
        velocity, vsini, macroturbulence : float or array-like of shape (n_spectra,)
            Radial velocity, v sin i and ζ_RT, km/s.
        resolution : float or array-like of shape (n_spectra,), or None
            Resolution where `resolution_range` was given.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Mean flux of the pixels, chunk after chunk.
        """
        effects = self._effects(len(flux), velocity, vsini, macroturbulence, resolution)
        return self.observe_with_derivatives(flux, None, effects, ())[0]

    def samples(self, flux):
        """Broaden model spectra by the first chunk's resolution, before they meet its pixels.

        Parameters
        ----------
        flux : ndarray of shape (n_spectra, n_samples)
            Model flux at rest.

        Returns
        -------
        wavelength : ndarray of shape (n_steps,)
            Steps of equal velocity in Å, as fine as the resolution needs; those beyond `needed`
            are padding.
        flux : ndarray of shape (n_spectra, n_steps)
            Flux there.
        """
        group = self._groups[0]
        n_out = group["n_out"]
        spectrum = fft.rfft(np.ascontiguousarray((self._onto_steps @ flux.T).T), axis=1)
        transfer, _ = self._transfer(group, np.zeros((1, len(EFFECTS))), ())
        curve = fft.irfft(spectrum[:, : n_out // 2 + 1] * transfer, n=n_out, axis=1)
        step = self._step * self._n_steps / n_out
        nodes = np.exp(self._log_start + step * np.arange(n_out))
        return nodes, curve * (n_out / self._n_steps)

    def _effects(self, n_spectra, *values):
        effects = np.zeros((n_spectra, len(EFFECTS)))
        for column, value in enumerate(values):
            effects[:, column] = np.nan if value is None else value
        return effects

    def observe_with_derivatives(self, flux, flux_jacobian, effects, by):
        """Observe spectra, and their derivatives by stellar parameters and effects.

        Parameters
        ----------
        flux : ndarray of shape (n_spectra, n_samples)
            Model flux at rest.
        flux_jacobian : ndarray of shape (n_spectra, n_samples, n_parameters), or None
            Its derivatives by stellar parameters.
        effects : ndarray of shape (n_spectra, 4)
            Velocity, v sin i, macroturbulence (km/s) and resolution (NaN: the chunks' own).
        by : sequence of str
            Effects by which to differentiate: "velocity" per km/s, "vsini" and
            "macroturbulence" per km²/s² of their squares, "resolution" per unit.

        Returns
        -------
        observed : ndarray of shape (n_spectra, n_pixels)
            Mean flux of the pixels.
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
        out = np.empty((n_spectra, n_curves + len(by), self.n_pixels))
        for group in self._groups:
            n_out = group["n_out"]
            part = spectrum[:, :, : n_out // 2 + 1]
            transfer, slopes = self._transfer(group, effects, by)
            stack = np.empty((n_spectra, n_curves + len(by), n_out // 2 + 1), dtype=complex)
            np.multiply(part, transfer[:, None], out=stack[:, :n_curves])
            for place, slope in enumerate(slopes):
                np.multiply(part[:, 0], slope, out=stack[:, n_curves + place])
            curve = fft.irfft(stack, n=n_out, axis=2, overwrite_x=True)
            curve *= n_out / self._n_steps
            pixels = group["pixels"] @ curve.reshape(-1, n_out).T
            out[:, :, group["rows"]] = pixels.T.reshape(n_spectra, -1, len(group["rows"]))
        return out[:, 0], (None if flux_jacobian is None else out[:, 1:])

    def adjoint(self, pixels, effects):
        """Transpose of the operator: from pixels back to the model's samples.

        Parameters
        ----------
        pixels : ndarray of shape (n_spectra, n_vectors, n_pixels)
            Vectors on the pixels.
        effects : ndarray of shape (n_spectra, 4)
            As in `observe_with_derivatives`.

        Returns
        -------
        ndarray of shape (n_spectra, n_vectors, n_samples)
            With observe(f) = A f, the products Aᵀ `pixels`.
        """
        n_spectra, n_vectors = pixels.shape[:2]
        n_half = self._n_steps // 2 + 1
        spectrum = np.zeros((n_spectra, n_vectors, n_half), dtype=complex)
        for group in self._groups:
            n_out = group["n_out"]
            vectors = pixels[:, :, group["rows"]].reshape(n_spectra * n_vectors, -1)
            curve = np.ascontiguousarray((group["adjoint"] @ vectors.T).T)
            part = fft.rfft(curve, axis=1).reshape(n_spectra, n_vectors, -1)
            transfer, _ = self._transfer(group, effects, ())
            spectrum[:, :, : n_out // 2 + 1] += part * np.conj(transfer)[:, None]
        on_steps = fft.irfft(spectrum, n=self._n_steps, axis=2)
        back = self._from_steps @ on_steps.reshape(n_spectra * n_vectors, -1).T
        return back.T.reshape(n_spectra, n_vectors, -1)

    def _transfer(self, group, effects, by):
        """Transfer function of one group of chunks, and its derivatives."""
        velocity, vsini, macro, resolution = effects.T
        omega = group["omega"]
        factors, slopes = {}, {}
        # What is held at nothing costs nothing.
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
        # An even number of steps has one real highest frequency, which cannot be shifted.
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


def _rest_edges(chunks):
    """Pixel edges of all chunks at their own velocity 0, and where each chunk starts."""
    low, high, starts = [], [], [0]
    for chunk in chunks:
        # A chunk that is known to move is put to rest by its wavelengths.
        shift, _ = kernels.shift_of_velocity(chunk.velocity)
        edges = chunk.edges * np.exp(-shift / kernels.SPEED_OF_LIGHT)
        low.append(edges[:-1])
        high.append(edges[1:])
        starts.append(starts[-1] + len(edges) - 1)
    return np.concatenate(low), np.concatenate(high), starts
