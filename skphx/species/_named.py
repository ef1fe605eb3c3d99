"""NamedEmulator and name_lines: an emulator that knows which species absorb."""

import warnings
from collections.abc import Sequence
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted, check_scalar

from skphx._domain import ABUNDANCE_SUFFIX, MEDIA
from skphx._restore import restore_on_failure
from skphx.flux._wrapped import WrappedEmulator
from skphx.species._abundances import AbundanceEmulator, check_elements
from skphx.species._elements import parts_of
from skphx.species._line_list import LineList
from skphx.species._line_names import LineNames, strongest_lines


class NamedEmulator(WrappedEmulator):
    """An emulator that knows which species absorb at each wavelength, and so in each line.

    Its flux is that of the emulator. It also gives the species of the fitted lines, the
    transmission of each species, and, with :meth:`with_abundances` or
    :meth:`skphx.StellarParameterEstimator.infer`, abundances of elements that the grid does not
    vary.

    Parameters
    ----------
    emulator : FluxEmulator, LineManifoldRegressor or CalibratedEmulator
        The emulator. `fit` fits a copy of it. Its parameters must contain `teff` and `logg`, and
        its spectra must be normalised to a continuum of 1.
    line_list : LineList
        Known transitions, for instance of :func:`read_vald`.
    microturbulence : float, default=1.5
        km/s, unless the grid has a parameter `vmic`.
    n_jobs : int or None, default=None
        Number of processes.

    Attributes
    ----------
    emulator_ : estimator
        The fitted emulator.
    responses_ : ElementResponses
        Responses of the flux to abundances.
    elements_ : tuple of str
        Elements whose abundances change the flux.
    line_names_ : LineNames or None
        Species of the fitted lines, averaged over nodes with the strength of the line; None if
        the emulator has no lines.
    grid_, error_, node_continua_, wavelength_, resolution_, n_features_in_
        As those of `emulator_`.

    See Also
    --------
    name_lines : makes it from a fitted emulator.

    Notes
    -----
    Populations, profiles and saturation of lines follow from a schematic atmosphere in LTE: the
    temperature structure of the Sun scaled with Teff, hydrostatic equilibrium, and the
    opacity of H⁻. At nodes of the grid, the opacities of the species are fitted to the emulated
    spectrum: a factor for each species, another one for the damping of strong lines, and a smooth
    opacity for hydrogen and what the list lacks. The atmosphere only gives ratios: of species at
    one wavelength, and of the change of a line to the line. The flux remains the emulator's.

    Abundances change the lines of an element and of its molecules. The temperatures, pressures
    and electrons of the atmosphere stay those of scaled-solar abundances.

    References
    ----------
    Gray (2005), The Observation and Analysis of Stellar Photospheres, chapters 7 to 11.
    """

    def __init__(
        self,
        emulator: Any,
        line_list: LineList,
        *,
        microturbulence: float = 1.5,
        n_jobs: int | None = None,
    ) -> None:
        self.emulator = emulator
        self.line_list = line_list
        self.microturbulence = microturbulence
        self.n_jobs = n_jobs

    @restore_on_failure
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the emulator to spectra of nodes, and name its lines.

        Parameters
        ----------
        X : array-like or table of shape (n_nodes, n_parameters)
            Stellar parameters of the nodes.
        y : array-like of shape (n_nodes, n_pixels)
            Their spectra, as the emulator takes them.

        Returns
        -------
        self : NamedEmulator
            The fitted emulator.

        Raises
        ------
        TypeError
            If `line_list` is not a LineList.
        ValueError
            If the emulator refuses nodes or spectra, a setting is out of its range, the medium
            of the emulator is unknown, the grid has no Teff or no log g, or the list has no line
            in the wavelengths.
        """
        self._check_settings()
        self._name(clone(self.emulator).fit(X, y))
        return self

    def predict_species(self, X: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """Emulate the transmission of each species.

        Parameters
        ----------
        X : array-like or table of shape (n_spectra, n_parameters)
            Stellar parameters; columns of a table are found by their names.

        Returns
        -------
        dict of str to ndarray of shape (n_spectra, n_pixels)
            Transmission by species, the deepest first. Their product is the flux that `predict`
            returns. The last two are ``"others"``, all species that are never deeper than
            0.005, and ``"unidentified"``, what the line list does not explain; flux above 1 is
            part of it.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If a point lies outside the grid and `extrapolate` is "error".
        """
        # numba is imported only where species are computed.
        from skphx.species._naming import transmissions

        return transmissions(self, self._points(X))

    def name_lines_at(self, parameters: ArrayLike) -> LineNames:
        """Return the species of the fitted lines of one star.

        Parameters
        ----------
        parameters : array-like of shape (n_parameters,)
            Stellar parameters.

        Returns
        -------
        LineNames
            Species, excitation and shares of each fitted line.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If the emulator has no fitted lines, or the point lies outside the grid and
            `extrapolate` is "error".
        """
        points = self._points(np.reshape(parameters, (1, -1)))
        lines = self._lines(points)
        if lines is None:
            raise ValueError(
                "the emulator has no fitted lines; name those of a LineManifoldRegressor."
            )
        from skphx.species._naming import names_in_star

        return names_in_star(self, points, lines[0])

    def with_abundances(self, elements: Sequence[str]) -> AbundanceEmulator:
        """Return an emulator with abundances of elements as further parameters.

        Parameters
        ----------
        elements : sequence of str
            Symbols, such as ``("Ca", "Ti")``.

        Returns
        -------
        AbundanceEmulator
            Fitted. Its parameters are those of this emulator, then ``ca_fe``, ``ti_fe``, ...,
            [X/Fe] in dex from −0.6 to 0.6.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If an element is unknown or repeated, is hydrogen, helium or iron, or the grid has its
            abundance as a parameter.
        """
        check_is_fitted(self)
        elements = check_elements(elements, self.grid_.parameter_names)
        return AbundanceEmulator._of_fitted(
            self.emulator_,
            self.responses_,
            elements,
            model_error=getattr(self.emulator_, "model_error_", None),
        )

    def renamed(self, emulator: Any) -> "NamedEmulator":
        """Name the lines of another fitted emulator, with the settings of this one.

        Parameters
        ----------
        emulator : estimator
            Fitted emulator, such as a compiled one.

        Returns
        -------
        NamedEmulator
            Fitted.
        """
        new = clone(self).set_params(emulator=emulator)
        new._name(emulator)
        return new

    def _check_settings(self):
        if not isinstance(self.line_list, LineList):
            raise TypeError(
                f"line_list must be a LineList, got {type(self.line_list).__name__}; read one "
                f"with skphx.species.read_vald."
            )
        check_scalar(self.microturbulence, "microturbulence", Real, min_val=0)

    def _name(self, emulator):
        """Use a fitted emulator, and compute the responses of its flux."""
        self._take(emulator)
        medium = getattr(emulator, "medium", None)
        if medium not in MEDIA:
            raise ValueError(
                f"line_list has wavelengths in {self.line_list.medium}, but the medium of the "
                f"emulator is unknown; say whether its wavelengths are in air or vacuum: "
                f"emulator.set_params(medium='vacuum')."
            )
        missing = [name for name in ("teff", "logg") if name not in self.grid_.parameter_names]
        if missing:
            raise ValueError(
                f"the emulator must have the parameters teff and logg, which set the populations, "
                f"and has no {missing[0]}, only {', '.join(self.grid_.parameter_names)}; name its "
                f"parameters with parameter_names=(...)."
            )
        low, high = self.wavelength_[[0, -1]]
        own = self.line_list.in_medium(medium).wavelength
        if not ((own >= low) & (own <= high)).any():
            raise ValueError(
                f"line_list has no line within the emulator's wavelengths, {low:.6g} to "
                f"{high:.6g} Å; it is {self.line_list!r}."
            )
        known = [one for one in np.unique(self.line_list.species) if parts_of(str(one))[0]]
        if not known:
            raise ValueError(
                f"line_list has no species that skphx knows, only such as "
                f"{str(self.line_list.species[0])!r}; write species as 'Fe I', 'Ca II' or 'CN'."
            )
        unknown = [name for name in self.grid_.parameter_names if not _has_a_meaning(name)]
        if unknown:
            warnings.warn(
                f"name_lines does not know the parameter {unknown[0]!r}, and computes "
                f"populations as if it did not change them; the names that it knows are teff, "
                f"logg, feh, alpha, vmic and abundances such as ca_fe.",
                UserWarning,
                stacklevel=3,
            )
        from skphx.species._naming import learn_responses

        self.responses_, self.line_names_ = learn_responses(self)
        self.elements_ = self.responses_.elements

    def _select_own(self):
        self.responses_ = self.responses_.selected(self.wavelength_)
        self.elements_ = self.responses_.elements
        if self.line_names_ is not None:
            kept = strongest_lines(self._lines(self.responses_.grid.nodes))
            self.line_names_ = self.line_names_.of_lines(kept)

    def _lines(self, points):
        return self.emulator_._lines(points)


def _has_a_meaning(name):
    """Whether a parameter changes the populations in a known way."""
    return name in ("teff", "logg", "feh", "alpha", "vmic") or name.endswith(ABUNDANCE_SUFFIX)


def name_lines(
    emulator: Any,
    line_list: LineList,
    *,
    microturbulence: float = 1.5,
    n_jobs: int | None = None,
) -> NamedEmulator:
    """Name the lines of a fitted emulator, and learn how they respond to abundances.

    Parameters
    ----------
    emulator : FluxEmulator, LineManifoldRegressor, CalibratedEmulator or compiled emulator
        Fitted; its spectra must be normalised to a continuum of 1, its medium must be known, and
        its parameters must contain `teff` and `logg`. It is not copied.
    line_list : LineList
        Known transitions, for instance of :func:`read_vald`, with all species that matter in
        such stars; a list in another medium is converted.
    microturbulence : float
        km/s, unless the grid has a parameter `vmic`.
    n_jobs : int or None
        Number of processes.

    Returns
    -------
    NamedEmulator
        Fitted. `line_names_` are the species of the lines, and
        ``StellarParameterEstimator.from_emulator(named).infer(star, abundances=("Ca", "Si"))``
        infers abundances.

    Raises
    ------
    NotFittedError
        If `emulator` is not fitted.
    TypeError
        If `line_list` is not a LineList, or the emulator has abundances of
        :meth:`NamedEmulator.with_abundances`.
    ValueError
        If the medium of the emulator is unknown, it has no Teff or no log g, the list has no
        line in its wavelengths or no species that is known, or `microturbulence` is negative.

    Warns
    -----
    UserWarning
        If a parameter of the grid has a name whose meaning is not known.

    Notes
    -----
    This takes about half a second a node and 300 Å, for at most 128 nodes of a full product of
    values. What is computed is said in :class:`NamedEmulator`.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx import FluxEmulator
    >>> from skphx.datasets import make_stellar_grid
    >>> from skphx.species import LineList, name_lines
    >>> grid = make_stellar_grid(teff=(5000, 6000), logg=(4.0, 5.0), feh=(0.0,), n_pixels=500,
    ...                          n_lines=10, wavelength=(8500.0, 8520.0), return_lines=True)
    >>> emulator = FluxEmulator(grid.wavelength, medium="vacuum")
    >>> emulator = emulator.fit(grid.parameters, grid.spectra / grid.continuum)
    >>> n = len(grid.lines.center)
    >>> line_list = LineList(grid.lines.center, np.repeat("Fe I", n), np.full(n, 3.0),
    ...                      np.full(n, -1.5), np.full(n, np.nan), "vacuum")
    >>> named = name_lines(emulator, line_list)
    >>> list(named.predict_species([[5500, 4.5, 0.0]]))
    ['Fe I', 'others', 'unidentified']
    """
    emulator = emulator.estimator if isinstance(emulator, FrozenEstimator) else emulator
    check_is_fitted(emulator)
    if isinstance(emulator, AbundanceEmulator):
        raise TypeError(
            "emulator has abundances as parameters already; name the lines of the emulator "
            "without them, its attribute emulator_."
        )
    if isinstance(emulator, NamedEmulator):
        emulator = emulator.emulator_
    new = NamedEmulator(emulator, line_list, microturbulence=microturbulence, n_jobs=n_jobs)
    new._check_settings()
    new._name(emulator)
    return new
