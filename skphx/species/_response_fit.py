"""Responses of the flux to abundances in one star, from the opacities of its species."""

import numpy as np

from skphx.species._elements import DISSOCIATION, parts_of
from skphx.species._formation import emergent_flux
from skphx.species._growth import clipped_depth, log_opacity
from skphx.species._opacity import REFERENCE_DEPTH
from skphx.species._responses import RELATIVE_TO

# Changes of abundance at which responses are computed, dex.
_CHANGES = np.array([0.3, -0.3])
# Those of carbon are smaller: what CO leaves of it in cool stars is far from linear.
_CHANGES_OF_CARBON = 0.5 * _CHANGES
# An element's response is kept if it changes the flux of a pixel by this for these changes,
# and computed where it has more than the second number of the opacity of the continuum.
_LEAST_CHANGE, _LEAST_OPACITY = 2e-3, 1e-4
# Pixels of less depth have no response. Largest mean change of ln of the opacity for one dex.
_LEAST_DEPTH, _MOST = 1e-3, 20.0
# Lines of less depth than this may be computed too deep.
_WEAK = 0.08
# Largest ratio of b and a: the slope a + 2 b x is 0.1 a or more up to x of 0.6.
_MOST_CURVED = 0.75


def responses_of(formation, flux, opacities):
    """Compute the responses of all elements in one star.

    Parameters
    ----------
    formation : LineFormation
        Fitted to the star.
    flux : ndarray of shape (n_pixels,)
        The star's emulated flux.
    opacities : dict of str to ndarray of shape (n_fine, n_depths)
        Its opacities, of each species.

    Returns
    -------
    dict of str to ndarray of shape (2, n_pixels)
        a and b of each element that matters.
    """
    source, pixels = formation.source, formation.pixels
    total = sum(opacities.values(), start=formation.smooth_opacity())
    before = emergent_flux(total, source)
    depth = clipped_depth(flux)
    # A weak line that is computed too deep would lose more than it has.
    is_seen = depth > _LEAST_DEPTH
    computed = clipped_depth(pixels.observe(before))
    depth = np.where(depth < _WEAK, np.maximum(depth, computed), depth)
    members: dict[str, list[str]] = {}
    for species in opacities:
        elements = set(parts_of(species)[0])
        if species in DISSOCIATION:
            # CO and N2 leave the less for other molecules, the more of these elements there is.
            elements |= {"C", "N", "O"}
        for element in elements - set(RELATIVE_TO):
            members.setdefault(element, []).append(species)
    found = {}
    for element, own in members.items():
        opacity = sum(opacities[species][:, REFERENCE_DEPTH] for species in own)
        seen = np.flatnonzero(opacity > _LEAST_OPACITY)
        abundances = _CHANGES_OF_CARBON if element == "C" else _CHANGES
        changes = np.zeros((len(abundances), len(depth)))
        for row, change in enumerate(abundances):
            other = total[seen]
            for species in own:
                more = _grown(formation.atmosphere, species, element, change) - 1.0
                other = other + opacities[species][seen] * more
            after = before.copy()
            after[seen] = emergent_flux(other, source)
            changes[row] = pixels.observe(after - before)
        if np.abs(changes).max(initial=0.0) > _LEAST_CHANGE:
            found[element] = _response(depth, changes, abundances) * is_seen
    return found


def _grown(atmosphere, species, element, change):
    """Return by how much a species grows at each depth if an element changes."""
    abundances = dict(atmosphere.abundances)
    abundances[element] += change
    return atmosphere.number(species, abundances) / atmosphere.number(species)


def _response(depth, changes, x):
    """Solve for a and b with the changes of the flux for two values of x, (2, n_pixels)."""
    before = log_opacity(depth)
    grown = log_opacity(clipped_depth(1.0 - depth + changes)) - before
    most = _MOST * np.abs(x)[:, None]
    grown = np.clip(grown, -most, most)
    linear, square = np.linalg.solve(np.stack([x, x**2], axis=1), grown)
    # Within the limits of abundances, a line only grows or only shrinks.
    most = _MOST_CURVED * np.abs(linear)
    return np.stack([linear, np.clip(square, -most, most)])
