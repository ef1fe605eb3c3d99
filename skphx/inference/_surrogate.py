"""Low-rank surrogate of an emulator: faster, and accurate enough for all but the last steps."""

import numpy as np

from skphx.flux._emulator import FluxEmulator
from skphx.inference._emulation import emulate
from skphx.species._abundances import AbundanceEmulator
from skphx.species._named import NamedEmulator

# No surrogate is made if the nodes' spectra have more numbers than this, a gigabyte.
_MOST_NUMBERS = 125_000_000
# Nodes emulated at once.
_BLOCK = 64
# Largest rms error of the surrogate's flux at the nodes.
_TOLERANCE = 1e-4


def make_surrogate(emulator):
    """Make a low-rank surrogate of an emulator.

    A surrogate of a FluxEmulator, or of an emulator that has one, is nearly as accurate as the
    emulator everywhere. A surrogate of another emulator interpolates the spectra emulated at
    the nodes: it is accurate at the nodes, and less accurate between them.

    Parameters
    ----------
    emulator : estimator
        Fitted emulator.

    Returns
    -------
    FluxEmulator, AbundanceEmulator or None
        None if the spectra of the nodes would take more than a gigabyte.
    """
    inner = getattr(emulator, "estimator", emulator)  # of a FrozenEstimator
    if isinstance(inner, AbundanceEmulator):
        scaled_solar = make_surrogate(inner.emulator_)
        return None if scaled_solar is None else inner.over(scaled_solar)
    if isinstance(inner, NamedEmulator):
        return make_surrogate(inner.emulator_)
    nodes = emulator.grid_.nodes
    if len(nodes) * len(emulator.wavelength_) > _MOST_NUMBERS:
        return None
    flux_emulator = getattr(inner, "flux_", inner)
    if isinstance(flux_emulator, FluxEmulator):
        surrogate = flux_emulator._coarser(_TOLERANCE)
    else:
        starts = range(0, len(nodes), _BLOCK)
        flux = [emulate(emulator, nodes[start : start + _BLOCK]) for start in starts]
        surrogate = FluxEmulator._of_nodes(
            emulator.grid_,
            np.concatenate(flux),
            np.asarray(emulator.wavelength_),
            tolerance=_TOLERANCE,
            medium=getattr(emulator, "medium", None),
            resolution=getattr(emulator, "resolution_", None),
        )
    surrogate.node_continua_ = getattr(emulator, "node_continua_", None)
    return surrogate
