"""An emulator that has abundances of elements as further parameters."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from skphx._domain import ABUNDANCE_SUFFIX
from skphx.flux._wrapped import WrappedEmulator
from skphx.interpolation import NodeGrid
from skphx.species._elements import ELEMENTS
from skphx.species._growth import clipped_depth, depth_of, growth, log_opacity
from skphx.species._response_error import ResponseError
from skphx.species._responses import RELATIVE_TO, ElementResponses

#: Lowest and highest [X/Fe] of the search, dex.
ABUNDANCE_LIMITS = (-0.6, 0.6)
# The opacity at a pixel keeps at least this part of what it is for scaled-solar abundances.
_LEAST_OPACITY = 1e-4


def abundance_name(element):
    """Return the name of [X/Fe] as a parameter, such as ``"ca_fe"``."""
    return f"{element.lower()}{ABUNDANCE_SUFFIX}"


def symbols_of(elements):
    """Return elements as a tuple; raise a TypeError if they are no sequence of strings."""
    symbols = elements
    if isinstance(elements, Iterable) and not isinstance(elements, str):
        symbols = tuple(elements)
    if not isinstance(symbols, tuple) or not all(isinstance(one, str) for one in symbols):
        raise TypeError(
            f"abundances must be a sequence of symbols of elements, such as ('Ca', 'Ti'), got "
            f"{symbols!r}."
        )
    return symbols


def check_elements(elements, parameter_names):
    """Return elements as a tuple of symbols.

    Parameters
    ----------
    elements : sequence of str
        Symbols, such as ``("Ca", "Ti")``.
    parameter_names : sequence of str
        Parameters of the grid.

    Returns
    -------
    tuple of str
        The symbols.

    Raises
    ------
    TypeError
        If they are no sequence of strings.
    ValueError
        If an element is unknown or repeated, is hydrogen, helium or iron, or its abundance is a
        parameter of the grid.
    """
    elements = symbols_of(elements)
    for place, element in enumerate(elements):
        if element not in ELEMENTS:
            raise ValueError(
                f"abundances names {element!r}, which is no element that skphx knows; give "
                f"symbols such as 'Ca'."
            )
        if element in RELATIVE_TO:
            raise ValueError(
                f"abundances names {element!r}: abundances are relative to iron, whose own is the "
                f"parameter [Fe/H] of the grid; leave {element!r} out."
            )
        if element in elements[:place]:
            raise ValueError(f"abundances names {element!r} twice; name each element once.")
        if abundance_name(element) in parameter_names:
            raise ValueError(
                f"abundances names {element!r}, but {abundance_name(element)} is a parameter of "
                f"the grid and is inferred anyway; leave it out."
            )
    return elements


class AbundanceGrid(NodeGrid):
    """The nodes of a grid, with abundances of elements as further parameters.

    All nodes have scaled-solar abundances, [X/Fe] = 0, and weights do not depend on [X/Fe].

    Parameters
    ----------
    base : NodeGrid
        The grid without abundances.
    elements : sequence of str
        Symbols.
    """

    def __init__(self, base: NodeGrid, elements: Sequence[str]) -> None:
        self.base, self.elements = base, tuple(elements)
        n_more = len(self.elements)
        self.interpolation = base.interpolation
        self.nodes = np.pad(base.nodes, ((0, 0), (0, n_more)))
        self.parameter_names = (
            *base.parameter_names,
            *(abundance_name(element) for element in self.elements),
        )
        low, high = ABUNDANCE_LIMITS
        self.axes = [*base.axes, *(np.array([low, 0.0, high]) for _ in self.elements)]
        self.positions = np.pad(base.positions, ((0, 0), (0, n_more)), constant_values=1)
        self.bounds = np.concatenate([base.bounds, np.tile([low, high], (n_more, 1))])

    @property
    def n_base(self) -> int:
        """Number of parameters that are no abundances."""
        return self.base.n_parameters

    @property
    def scale(self):
        """Spacing of the nodes of each parameter; of abundances, the distance of their limit."""
        return np.append(self.base.scale, [ABUNDANCE_LIMITS[1]] * len(self.elements))

    def weights(self, points: ArrayLike) -> csr_array:
        """Weights of the nodes at points, as those of the grid without abundances."""
        return self.base.weights(self.check_points(points)[:, : self.n_base])

    def weights_jacobian(self, points: ArrayLike) -> list[csr_array]:
        """Return the derivatives of the weights, which are 0 for abundances."""
        slopes = self.base.weights_jacobian(self.check_points(points)[:, : self.n_base])
        return [*slopes, *(csr_array(slopes[0].shape) for _ in self.elements)]

    def contains(self, points: ArrayLike):
        """Whether points are inside the grid."""
        points = self.check_points(points)
        inside = self._inside_box(points).all(axis=1)
        return inside & self.base.contains(points[:, : self.n_base])

    def _clip(self, points):
        clipped = super()._clip(points)
        base = points[:, : self.n_base]
        clipped[:, : self.n_base] = self.base.resolve_outside(base, "clip")
        return clipped

    def scaled_solar(self, points, boxes):
        """Return points with the abundances that are nearest to 0 within some boxes.

        Parameters
        ----------
        points : ndarray of shape (n_points, n_parameters)
            Any points.
        boxes : ndarray of shape (n_boxes, n_parameters, 2)
            Search boxes.

        Returns
        -------
        ndarray of shape (n_points, n_parameters)
            A copy.
        """
        points = points.copy()
        low, high = boxes[:, self.n_base :].mean(axis=0).T
        points[:, self.n_base :] = np.clip(0.0, low, high)
        return points


class AbundanceEmulator(WrappedEmulator):
    """Emulate spectra with abundances of elements as further parameters.

    :meth:`NamedEmulator.with_abundances` makes it. The parameters of a point are those of the
    emulator, then [X/Fe] of each element in dex.

    Parameters
    ----------
    emulator : estimator
        Fitted emulator of scaled-solar abundances.
    responses : ElementResponses
        Responses of its flux to abundances.
    elements : sequence of str
        Symbols.
    model_error : object or None
        Errors of the emulator's lines, for `infer`, such as those of a calibration.

    Attributes
    ----------
    emulator_ : estimator
        As given.
    responses_ : ElementResponses
        The responses on these wavelengths.
    grid_ : AbundanceGrid
        The nodes of the emulator.
    model_error_ : ResponseError
        Errors of the responses, with those given.
    """

    def __init__(self, emulator, responses: ElementResponses, elements, *, model_error=None):
        self.emulator = emulator
        self.responses = responses
        self.elements = elements
        self.model_error = model_error

    @classmethod
    def _of_fitted(cls, emulator, responses, elements, *, model_error=None):
        """Extend a fitted emulator."""
        new = cls(emulator, responses, tuple(elements), model_error=model_error)
        new._take(emulator)
        return new

    def fit(self, X: ArrayLike, y: ArrayLike) -> "AbundanceEmulator":
        """Raise, because a fit would need the names of the lines again.

        Parameters
        ----------
        X, y : array-like
            Not used.

        Returns
        -------
        AbundanceEmulator
            Never.

        Raises
        ------
        TypeError
            Always.
        """
        raise TypeError(
            "an emulator with abundances cannot be fitted again: fit a NamedEmulator, then call "
            "its with_abundances; or keep this one in a FrozenEstimator."
        )

    def over(self, emulator):
        """Return the same abundances for another emulator of the same wavelengths and nodes.

        Parameters
        ----------
        emulator : estimator
            Fitted emulator, such as a low-rank surrogate.

        Returns
        -------
        AbundanceEmulator
            With the responses of this one.
        """
        return type(self)._of_fitted(
            emulator, self.responses_, self.elements, model_error=self.model_error
        )

    @property
    def parameter_names(self):
        """Names of the parameters of the emulator, then of the abundances; None if unknown."""
        names = self.emulator.parameter_names
        return None if names is None else self.grid_.parameter_names

    def _take(self, emulator):
        super()._take(emulator)
        self.grid_ = AbundanceGrid(emulator.grid_, self.elements)
        self.n_features_in_ = self.grid_.n_parameters
        if hasattr(self, "feature_names_in_"):
            more = self.grid_.parameter_names[self.grid_.n_base :]
            self.feature_names_in_ = np.array([*self.feature_names_in_, *more], dtype=object)
        self.responses_ = self.responses
        self.model_error_ = ResponseError(self.model_error)

    def _select_own(self):
        self.responses_ = self.responses.selected(self.wavelength_)

    def _opacity(self, points):
        """Return [X/Fe], responses, opacity factors of each element, and of all together."""
        base, change = np.split(points, [self.grid_.n_base], axis=1)
        x = change.T[:, :, None]
        linear, square = self.responses_.at(base, self.elements)
        factors = np.exp(linear * x + square * x**2)
        return base, x, linear + 2.0 * square * x, factors, 1.0 + (factors - 1.0).sum(axis=0)

    def _abundance_slopes(self, points):
        """Return ∂flux/∂[X/Fe] of each element, (n_elements, n_points, n_pixels)."""
        base, _, rates, factors, relative = self._opacity(points)
        depth = clipped_depth(np.asarray(self.emulator_._flux(base)))
        return -_growth_rate(_grown(depth, relative), relative) * factors * rates

    def _flux(self, points):
        base, *_, relative = self._opacity(points)
        flux = np.asarray(self.emulator_._flux(base))
        depth = clipped_depth(flux)
        return flux - (_grown(depth, relative) - depth)

    def _flux_jacobian(self, points):
        base, x, rates, factors, relative = self._opacity(points)
        flux = np.asarray(self.emulator_._flux(base))
        slopes = np.asarray(self.emulator_._flux_jacobian(base))
        depth = clipped_depth(flux)
        grown = _grown(depth, relative)
        rate = _growth_rate(grown, relative)
        linear_slopes, square_slopes = np.moveaxis(
            self.responses_.slopes_at(base, self.elements), 1, 0
        )
        moved = (factors * (linear_slopes * x + square_slopes * x**2)).sum(axis=1)
        # Flux beyond the limits of the curve of growth moves as it is.
        is_on_curve = depth == 1.0 - flux
        followed = np.where(is_on_curve, growth(grown) / growth(depth), 1.0)
        return np.concatenate([slopes * followed - rate * moved, -rate * factors * rates])


def _grown(depth, relative):
    """Return the depth if the opacity is so many times that of scaled-solar abundances."""
    return depth_of(log_opacity(depth) + np.log(np.maximum(relative, _LEAST_OPACITY)))


def _growth_rate(grown, relative):
    """Return ∂depth/∂ln opacity over the relative opacity; 0 where that is at its limit."""
    return growth(grown) / np.maximum(relative, _LEAST_OPACITY) * (relative > _LEAST_OPACITY)
