"""The paper's fit of a spectrum's lines: Adam with amsgrad, all parameters free.

This is the only file that imports ``torch.optim``.
"""

import numpy as np

from skphx._domain import LINE_PARAMETERS
from skphx.lines._fitting import check_fitted, rms_without_lines
from skphx.lines._render import optical_depth
from skphx.paper._extra import needed_for


def fit_adam(
    wavelength,
    flux,
    start,
    *,
    n_epochs=100,
    learning_rate=0.05,
    profile="pseudo-voigt",
    transmission="product",
    wing_cut=6000,
    device="cpu",
    prior=None,
):
    """Fit all lines of one spectrum to the mean squared error, centres free in Å.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    flux : ndarray of shape (n_pixels,)
        Normalised flux, dimensionless.
    start : ndarray of shape (n_lines, 4)
        First values of centre (Å), ln area (Å), ln sigma and ln gamma (Å).
    n_epochs : int
        Number of steps.
    learning_rate : float
        Their size, in the units of the parameters.
    profile, transmission, wing_cut
        See :func:`skphx.lines.render_flux`.
    device : str
        torch device on which lines are summed and differentiated.
    prior : ndarray or None
        Ignored: lines are not regularised.

    Returns
    -------
    lines : ndarray of shape (n_lines, 4)
        Fitted parameters, as `start`.
    rms : float
        Root mean square of lines minus flux over the pixels.

    Raises
    ------
    RuntimeError
        If the fit ends in parameters that are not finite or that no line can have.
    ImportError
        If torch is not installed.

    References
    ----------
    Reddi, Kale & Kumar 2018, ICLR, for amsgrad; Gully-Santiago & Morley 2022, ApJ 941, 200.
    """
    with needed_for("the fit by Adam"):
        import torch
    if len(start) == 0:
        return start, rms_without_lines(flux)
    target, first = (
        torch.tensor(array, dtype=torch.float64, device=device) for array in (flux, start)
    )
    parameters = [first[:, k].clone().requires_grad_() for k in range(len(LINE_PARAMETERS))]

    def mean_squared_error():
        depth = optical_depth(
            wavelength,
            *parameters,
            profile=profile,
            transmission=transmission,
            wing_cut=wing_cut,
        )
        return torch.mean((torch.exp(-depth) - target) ** 2)

    adam = torch.optim.Adam(parameters, lr=learning_rate, amsgrad=True)
    rms = np.nan
    for _ in range(n_epochs):
        adam.zero_grad()
        mean_squared_error().backward()
        adam.step()
        if not all(bool(torch.isfinite(column).all()) for column in parameters):
            # No flux can be rendered any more; the check below names such a line.
            break
    else:
        with torch.no_grad():
            rms = float(torch.sqrt(mean_squared_error()))
    lines = torch.stack(parameters, dim=1).detach().cpu().numpy()
    check_fitted(lines, start, remedy=f", or lower learning_rate (now {learning_rate})")
    return lines, rms
