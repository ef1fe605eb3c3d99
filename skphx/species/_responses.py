"""How the flux at each pixel responds to the abundance of an element, along the grid.

With x = [X/Fe], the opacity at a pixel is 1 + Σ (exp(a x + b x²) − 1) times what it is for
scaled-solar abundances, summed over elements X. The responses a and b are computed at nodes of the
grid and interpolated between them. For a line that no other species blends, and that grows as the
curve of growth here says, a is ln 10 and b is zero.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skphx.flux._low_rank import LowRank
from skphx.flux._pixels import PixelsBetween
from skphx.interpolation import NodeGrid, make_grid
from skphx.species._growth import clipped_depth, growth

# [X/Fe] of iron is 0 by definition, and hydrogen and helium are no metals.
RELATIVE_TO = ("H", "He", "Fe")
# Largest rms error of the flux from the low-rank approximation, and the change of an abundance
# for which it is meant, dex.
_TOLERANCE, _USUAL = 2e-4, 0.3


@dataclass(frozen=True, eq=False)
class ResponseBlock:
    """Responses on part of the wavelengths.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres, Å.
    linear, square : dict of str to LowRank
        a and b of each element, at the nodes of the responses.
    """

    wavelength: NDArray[np.float64]
    linear: dict[str, LowRank]
    square: dict[str, LowRank]

    @classmethod
    def of_nodes(cls, wavelength, responses, flux):
        """Keep the responses of all nodes.

        Parameters
        ----------
        wavelength : ndarray of shape (n_pixels,)
            Pixel centres, Å.
        responses : list of dict
            From :func:`responses_of`, one for each node.
        flux : ndarray of shape (n_nodes, n_pixels)
            Emulated flux of the nodes.

        Returns
        -------
        ResponseBlock
            With the elements that matter at any node.
        """
        slope = growth(clipped_depth(flux))
        nothing = np.zeros((2, len(wavelength)))
        linear, square = {}, {}
        for element in sorted({element for one in responses for element in one}):
            both = np.stack([one.get(element, nothing) for one in responses], axis=1)
            linear[element], square[element] = (
                _in_single_precision(LowRank.fit(values, _TOLERANCE, slope * _USUAL**power))
                for power, values in enumerate(both, start=1)
            )
        return cls(wavelength, linear, square)

    def selected(self, wavelength):
        """Return the responses on other pixels; beyond the ends, they are those at the ends."""
        low, high = self.wavelength[[0, -1]]
        pixels = PixelsBetween(np.clip(wavelength, low, high), self.wavelength)
        return ResponseBlock(
            wavelength,
            *(
                {element: one.resampled(pixels) for element, one in kept.items()}
                for kept in (self.linear, self.square)
            ),
        )


@dataclass(frozen=True, eq=False)
class ElementResponses:
    """Responses of the flux to abundances, at any point of a grid.

    Parameters
    ----------
    grid : NodeGrid
        Nodes at which responses were computed.
    blocks : list of ResponseBlock
        Parts of the wavelengths, in their order.
    """

    grid: NodeGrid
    blocks: list[ResponseBlock]

    @property
    def elements(self):
        """Symbols of the elements that have a response, sorted."""
        return tuple(sorted({element for block in self.blocks for element in block.linear}))

    def selected(self, wavelength):
        """Return the responses on other pixels.

        Parameters
        ----------
        wavelength : ndarray of shape (n_new,)
            New pixel centres, Å, within the old ones.

        Returns
        -------
        ElementResponses
            A copy.
        """
        ends = [block.wavelength[-1] for block in self.blocks]
        number = np.minimum(np.searchsorted(ends, wavelength), len(ends) - 1)
        blocks = []
        for place in np.unique(number):
            # Some may lie between the last pixel of one block and the first of the next.
            blocks.append(self.blocks[place].selected(wavelength[number == place]))
        return ElementResponses(self.grid, blocks)

    def at(self, points, elements):
        """Return the responses of elements at points.

        Parameters
        ----------
        points : ndarray of shape (n_points, n_parameters)
            Stellar parameters; outside the nodes, responses are those at the edge.
        elements : sequence of str
            Their symbols.

        Returns
        -------
        ndarray of shape (2, n_elements, n_points, n_pixels)
            a and b.
        """
        inside = self.grid.resolve_outside(points, "clip")
        return self._sum(self.grid.weights(inside), elements, "at")

    def slopes_at(self, points, elements):
        """Return their derivatives with each parameter, (n_parameters, 2, n_elements, ...)."""
        inside = self.grid.resolve_outside(points, "clip")
        # Beyond the nodes, responses do not change.
        within = (inside == points).T
        return np.array(
            [
                self._sum(weights, elements, "change") * moves[:, None]
                for weights, moves in zip(self.grid.weights_jacobian(inside), within, strict=True)
            ]
        )

    def _sum(self, weights, elements, method):
        n_pixels = sum(len(block.wavelength) for block in self.blocks)
        values = np.zeros((2, len(elements), weights.shape[0], n_pixels))
        start = 0
        for block in self.blocks:
            where = slice(start, start + len(block.wavelength))
            start = where.stop
            for row, kept in enumerate((block.linear, block.square)):
                for column, element in enumerate(elements):
                    if element in kept:
                        values[row, column, :, where] = getattr(kept[element], method)(weights)
        return values


def _in_single_precision(kept):
    """Return a LowRank with arrays of half the size."""
    coefficients = kept.coefficients
    return LowRank(
        kept.mean.astype(np.float32),
        kept.components.astype(np.float32),
        None if coefficients is None else coefficients.astype(np.float32),
    )


def response_grid(grid, most):
    """Choose the nodes at which responses are computed, and how to interpolate between them.

    Parameters
    ----------
    grid : NodeGrid
        The emulator's.
    most : int
        Largest number of nodes, if the grid is a full product of values.

    Returns
    -------
    NodeGrid
        All nodes, or a product of fewer values of each parameter.
    """
    kept = [np.arange(len(axis)) for axis in grid.axes]
    while np.prod([len(one) for one in kept]) > most:
        longest = max(range(len(kept)), key=lambda column: len(kept[column]))
        n_values = len(kept[longest]) - 1
        if n_values < 2:
            break
        last = len(grid.axes[longest]) - 1
        kept[longest] = np.unique(np.round(np.linspace(0, last, n_values)).astype(int))
    chosen = np.all(
        [np.isin(grid.positions[:, column], one) for column, one in enumerate(kept)], axis=0
    )
    if chosen.all() or chosen.sum() != np.prod([len(one) for one in kept]):
        return grid
    return make_grid(
        grid.nodes[chosen],
        parameter_names=grid.parameter_names,
        interpolation=grid.interpolation,
    )
