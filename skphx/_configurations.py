"""make_stellar_estimator: all steps, with the default settings or those of the paper."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.pipeline import make_pipeline

from skphx._domain import STELLAR_PARAMETERS, check_medium
from skphx.flux._emulator import FluxEmulator
from skphx.inference._estimator import StellarParameterEstimator
from skphx.inference._observation_model import ObservationModel
from skphx.lines._cloner import VoigtCloner
from skphx.lines._manifold_regressor import LineManifoldRegressor
from skphx.paper import GaussianProcessSearch, PaperCloner, PaperEmulator
from skphx.preprocessing._blackbody import BlackbodyDivider
from skphx.preprocessing._continuum import ContinuumNormalizer
from skphx.preprocessing._percentile import PercentileNormalizer

if TYPE_CHECKING:
    from joblib import Memory

CONFIGURATIONS = ("default", "paper")


def make_stellar_estimator(
    grid: Mapping[str, Any] | ArrayLike,
    configuration: Literal["default", "paper"] = "default",
    *,
    lines: bool = True,
    medium: Literal["air", "vacuum"] | None = None,
    normalized: bool = False,
    parameter_names: Sequence[str] | None = None,
    observation_model: ObservationModel | None = None,
    random_state: int | np.random.RandomState | None = None,
    device: str = "cpu",
    memory: "str | Memory | None" = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> StellarParameterEstimator:
    """Make an estimator of stellar parameters with all its steps, unfitted.

    Parameters
    ----------
    grid : Bunch, or array-like or Quantity of shape (n_pixels,)
        A grid that a function of :mod:`skphx.datasets` has returned, of which `wavelength`,
        `medium` and `parameter_names` are used; or the pixel centres in Å. The spectra are
        passed to `fit` afterwards.
    configuration : {"default", "paper"}
        ``"default"`` has the smallest errors on spectra that were not used in the fit;
        ``"paper"`` has the settings of Shankar, Gully-Santiago & Morley.
    lines : bool
        Whether to fit spectral lines, too, which takes minutes to hours. Parameters and flux
        do not depend on them. Without lines the emulator is a :class:`FluxEmulator`, which is
        fitted in seconds.
    medium : {"air", "vacuum"} or None
        Whether the wavelengths are in air or in vacuum. None is the medium of the grid. If
        `grid` is an array of wavelengths, None means unknown, and observed spectra with a
        known medium are then refused.
    normalized : bool
        Whether the spectra already have a continuum of 1, so that they are not normalised.
    parameter_names : sequence of str or None
        Columns of the stellar parameters; raw spectra need a column ``"teff"`` in K. None is
        those of the grid, or ``("teff", "logg", "feh")``.
    observation_model : ObservationModel or None
        Settings of `infer` that are kept with the model, such as the range of velocities and the
        resolution of the instrument.
    random_state : int, RandomState instance or None
        Seed of the search.
    device : str
        Device on which lines are summed: "cpu", or a device of torch, such as "cuda".
    memory : str, joblib.Memory or None
        Folder in which fitted lines are cached.
    n_jobs : int or None
        Number of spectra that are fitted, or whose parameters are searched, in parallel.
    verbose : int
        Whether to show progress bars (above 0).

    Returns
    -------
    StellarParameterEstimator
        The unfitted estimator. Its ``emulator`` is a LineManifoldRegressor, whose ``cloner`` is
        a Pipeline of normalisers and VoigtCloner; without lines it is a FluxEmulator. For the
        paper they are a :class:`skphx.paper.PaperEmulator` and a
        :class:`skphx.paper.PaperCloner`. All settings can be changed with ``set_params``. If
        the grid has missing nodes (`missing`), the emulator interpolates across them.

    Raises
    ------
    ValueError
        If `configuration` or `medium` is unknown, `medium` differs from that of the grid, or
        ``configuration="paper"`` is combined with ``lines=False``.

    Notes
    -----
    The settings of the paper and the default ones differ in:

    ==================== =============================== ================================
    setting              paper                           default
    ==================== =============================== ================================
    continuum            all peaks 5001 pixels apart     highest pixel of each window,
                                                         outliers clipped
    transmission         product of lines                exponential of their sum
    wings                cut to 6000 pixels              not cut
    near the ends        no lines within 30 Å            lines everywhere
    fit                  Adam, 0.05, 100 epochs          Levenberg-Marquardt
    lines                detected ones                   added until an rms of 0.002
    identity of a line   its detected pixel              one line list for all nodes
    along the grid       each node separately            surfaces fitted to all nodes
    missing line         ln a = -1000, then dropped      its strength goes to zero
    interpolation        linear                          best prediction of left-out nodes
    flux between nodes   sum of the lines                interpolated spectra
    search               100 random and 20 guided        100 random, Gauss-Newton steps
    ==================== =============================== ================================

    The spacing of 5001 pixels is that for the 338,651 pixels of the paper; for other numbers of
    pixels it is scaled in proportion.

    References
    ----------
    Shankar, Gully-Santiago & Morley, "Using Hybrid Machine Learning for Fundamental Stellar
    Parameter Inference"; settings that the paper does not give are those of its published code.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx import make_stellar_estimator
    >>> paper = make_stellar_estimator(np.linspace(8038.0, 8400.0, 2000), "paper")
    >>> paper.emulator.missing, paper.emulator.cloner[-1].wing_cut
    ('drop', 6000)
    >>> from skphx.datasets import make_stellar_grid
    >>> grid = make_stellar_grid(teff=(5000, 6000), logg=(4.0, 4.5), feh=(-0.5, 0.0))
    >>> estimator = make_stellar_estimator(grid, lines=False, random_state=0)
    >>> estimator.emulator.medium
    'vacuum'
    >>> estimator.fit(grid.spectra, grid.parameters).predict(grid.spectra[:1]).round(1)
    array([[ 5.e+03,  4.e+00, -5.e-01]])
    """
    if configuration not in CONFIGURATIONS:
        raise ValueError(
            f"configuration must be one of {list(CONFIGURATIONS)}, got {configuration!r}."
        )
    is_paper = configuration == "paper"
    if is_paper and not lines:
        raise ValueError(
            "configuration='paper' sums lines, so lines=False is not possible; use "
            "configuration='default'."
        )
    wavelength, known = _describe(grid, medium, parameter_names)
    normalizer = None
    if not normalized:
        # As in the paper: all peaks, without clipping.
        continuum: dict[str, Any] = {"anchors": "peaks", "n_iterations": 0} if is_paper else {}
        normalizer = make_pipeline(
            BlackbodyDivider(wavelength=wavelength),
            PercentileNormalizer(percentile=99),
            ContinuumNormalizer(wavelength=wavelength, degree=5, **continuum),
        )
    settings: dict[str, Any] = {
        "observation_model": observation_model,
        "random_state": random_state,
        "n_jobs": n_jobs,
    }
    if not lines:
        emulator = FluxEmulator(wavelength, normalizer, **known)
        return StellarParameterEstimator(emulator, **settings)
    cloner = (PaperCloner if is_paper else VoigtCloner)(
        wavelength=wavelength, device=device, memory=memory, n_jobs=n_jobs, verbose=verbose
    )
    if normalizer is not None:
        cloner = make_pipeline(*(step for _, step in normalizer.steps), cloner)
    return StellarParameterEstimator(
        (PaperEmulator if is_paper else LineManifoldRegressor)(cloner, **known),
        GaussianProcessSearch(verbose=verbose) if is_paper else "gauss-newton",
        **settings,
    )


def _describe(grid, medium, parameter_names):
    """Wavelengths, and the other arguments of an emulator that depend on the grid."""
    check_medium(medium)
    known: dict[str, Any] = {"medium": medium, "parameter_names": STELLAR_PARAMETERS}
    wavelength = grid
    if isinstance(grid, Mapping):
        if "wavelength" not in grid:
            raise ValueError(
                f"grid must be a Bunch with wavelength, as functions of skphx.datasets return it, "
                f"or the pixel centres in Å; got a mapping with {sorted(map(str, grid))}."
            )
        wavelength, own = grid["wavelength"], grid.get("medium")
        if own is not None and medium not in (None, own):
            raise ValueError(
                f"medium={medium!r} but the grid's wavelengths are in {own}; leave medium out, or "
                f"convert grid.wavelength and set grid.medium."
            )
        known["medium"] = medium if own is None else own
        known["parameter_names"] = tuple(grid.get("parameter_names", known["parameter_names"]))
        missing = grid.get("missing")
        if missing is not None and len(missing):
            known["holes"] = "interpolate"
    if parameter_names is not None:
        known["parameter_names"] = tuple(parameter_names)
    return wavelength, known
