"""Species at each wavelength of an emulator: their lines' names, transmissions and responses.

Apart from the emulators, because it imports numba.
"""

import numpy as np
from joblib import Parallel, delayed

from skphx.species._anchoring import LineFormation, StarSettings
from skphx.species._formation import emergent_flux
from skphx.species._line_names import (
    UNIDENTIFIED,
    log_areas,
    name_by_shares,
    shares_of_lines,
    species_shares,
    strongest_lines,
)
from skphx.species._model_pixels import ModelPixels
from skphx.species._response_fit import responses_of
from skphx.species._responses import ElementResponses, ResponseBlock, response_grid

# Wavelengths are divided at gaps of more than so many usual steps, and into blocks of about the
# second number, Å.
_GAP, _BLOCK = 50.0, 300.0
# Responses are computed at no more nodes, if the grid is a full product of values.
_MOST_NODES = 128
# Species whose transmission is above 1 minus this everywhere are put together.
_LEAST_DEPTH = 0.005
_OTHERS = "others"


def learn_responses(named):
    """Compute the responses of an emulator's flux to abundances, and the names of its lines.

    Parameters
    ----------
    named : NamedEmulator
        Has the fitted emulator.

    Returns
    -------
    responses : ElementResponses
        Of the elements that matter.
    names : LineNames or None
        Shares averaged over the nodes; None if the emulator has no lines.
    """
    grid = response_grid(named.grid_, _MOST_NODES)
    flux = np.concatenate([named._flux(grid.nodes[[row]]) for row in range(grid.n_nodes)])
    lines, line_list = named._lines(grid.nodes), _line_list_of(named)
    stars, blocks, shares = _stars(named, grid.nodes), [], []
    for where, pixels in _blocks(named):
        found = Parallel(named.n_jobs)(
            delayed(_at_node)(
                star, pixels, flux[row, where], line_list, None if lines is None else lines[row]
            )
            for row, star in enumerate(stars)
        )
        responses = [responses for responses, _ in found]
        blocks.append(ResponseBlock.of_nodes(named.wavelength_[where], responses, flux[:, where]))
        shares.append([one for _, one in found])
    names = None if lines is None else _average_names(lines, shares, line_list)
    return ElementResponses(grid, blocks), names


def transmissions(named, points):
    """Compute the transmission of each species.

    Parameters
    ----------
    named : NamedEmulator
        Fitted.
    points : ndarray of shape (n_points, n_parameters)
        Stellar parameters within the grid.

    Returns
    -------
    dict of str to ndarray of shape (n_points, n_pixels)
        As :meth:`NamedEmulator.predict_species` returns them.
    """
    flux, line_list = named._flux(points), _line_list_of(named)
    shares: dict[str, np.ndarray] = {}
    for where, pixels in _blocks(named):
        for row, star in enumerate(_stars(named, points)):
            formation = LineFormation.of_star(star, pixels, flux[row, where], line_list)
            opacities = formation.opacities()
            total = sum(opacities.values(), start=formation.smooth_opacity())
            depth = 1.0 - emergent_flux(total, formation.source)
            observed = np.maximum(pixels.observe(depth), np.finfo(float).tiny)
            for species, share in species_shares(formation, opacities, line_list).items():
                kept = shares.setdefault(species, np.zeros_like(flux))
                kept[row, where] = pixels.observe(depth * share) / observed
    optical = -np.log(np.clip(flux, np.finfo(float).tiny, 1.0))
    found = {
        species: np.exp(-optical * share)
        for species, share in shares.items()
        if species != UNIDENTIFIED
    }
    depths = {species: 1.0 - one.min() for species, one in found.items()}
    shown = sorted(
        (species for species, depth in depths.items() if depth > _LEAST_DEPTH),
        key=lambda species: -depths[species],
    )
    result = {species: found[species] for species in shown}
    rest = [one for species, one in found.items() if species not in result]
    result[_OTHERS] = np.prod(rest, axis=0) if rest else np.ones_like(flux)
    result[UNIDENTIFIED] = flux / np.prod(list(result.values()), axis=0)
    return result


def names_in_star(named, point, lines):
    """Name the lines of one star.

    Parameters
    ----------
    named : NamedEmulator
        Fitted.
    point : ndarray of shape (1, n_parameters)
        Stellar parameters within the grid.
    lines : ndarray of shape (n_lines, 4)
        The star's lines.

    Returns
    -------
    LineNames
        The names.
    """
    flux, line_list = named._flux(point)[0], _line_list_of(named)
    (star,) = _stars(named, point)
    total: dict[str, np.ndarray] = {}
    for where, pixels in _blocks(named):
        formation = LineFormation.of_star(star, pixels, flux[where], line_list)
        found = _shares_of_lines(formation, formation.opacities(), line_list, lines)
        for species, share in found.items():
            total[species] = total.get(species, 0.0) + share
    return name_by_shares(lines, total, line_list)


def _at_node(star, pixels, flux, line_list, lines):
    """Return the responses in one star, and the shares of its lines by species."""
    formation = LineFormation.of_star(star, pixels, flux, line_list)
    opacities = formation.opacities()
    shares = {} if lines is None else _shares_of_lines(formation, opacities, line_list, lines)
    return responses_of(formation, flux, opacities), shares


def _shares_of_lines(formation, opacities, line_list, lines):
    """Return the share of each species in each line, dict of (n_lines,)."""
    shares = species_shares(formation, opacities, line_list)
    found = shares_of_lines(formation.pixels.fine, np.array([*shares.values()]), lines)
    return dict(zip(shares, found.T, strict=True))


def _average_names(lines, shares, line_list):
    """Name lines by their shares at all nodes, weighted with their strength there."""
    areas = np.exp(log_areas(lines))
    weights = areas / np.maximum(areas.sum(axis=0), np.finfo(float).tiny)
    total: dict[str, np.ndarray] = {}
    for block in shares:
        for row, node in enumerate(block):
            for species, share in node.items():
                kept = total.setdefault(species, np.zeros(lines.shape[1]))
                kept += weights[row] * share
    return name_by_shares(strongest_lines(lines), total, line_list)


def _line_list_of(named):
    """Return the line list in the medium of the emulator."""
    return named.line_list.in_medium(named.emulator_.medium)


def _blocks(named):
    """Yield parts of the wavelengths: a slice, and the pixels to compute there."""
    wavelength = named.wavelength_
    steps = np.diff(wavelength)
    usual = np.median(steps) if len(steps) else 0.0
    gaps = np.flatnonzero(steps > _GAP * usual) + 1
    for segment in np.split(np.arange(len(wavelength)), gaps):
        own = wavelength[segment]
        n_blocks = max(1, round((own[-1] - own[0]) / _BLOCK))
        edges = np.linspace(own[0], own[-1], n_blocks + 1)[1:-1]
        for part in np.split(segment, np.searchsorted(own, edges)):
            where = slice(part[0], part[-1] + 1)
            yield where, ModelPixels.of_emulator(wavelength[where], named.resolution_)


def _stars(named, points):
    """Return the settings of the star at each point."""
    names = named.grid_.parameter_names
    return [
        StarSettings.of_point(dict(zip(names, point, strict=True)), named.microturbulence)
        for point in points
    ]
