"""One call for the whole chain: the paper's exact settings, or ours."""

from collections.abc import Mapping

from sklearn.pipeline import make_pipeline

from skphx._blackbody import BlackbodyDivider
from skphx._cloner import VoigtCloner
from skphx._continuum import ContinuumNormalizer
from skphx._estimator import StellarParameterEstimator
from skphx._manifold import LineManifoldRegressor
from skphx._percentile import PercentileNormalizer
from skphx.flux.emulator import FluxEmulator


def make_stellar_estimator(
    grid,
    configuration="default",
    *,
    lines=True,
    medium=None,
    normalized=False,
    parameter_names=None,
    random_state=None,
    device="cpu",
    memory=None,
    n_jobs=None,
    verbose=0,
):
    """Assemble the whole chain from raw spectra to stellar parameters, unfitted.

    Parameters
    ----------
    grid : Bunch, or array-like or Quantity of shape (n_pixels,)
        A grid as the functions of :mod:`skphx.datasets` return it, with `wavelength`, `medium`
        and `parameter_names`; or the pixel centres in Å. Its spectra are what `fit` is given
        afterwards.
    configuration : {"default", "paper"}
        ``"default"`` is what measures best on spectra that the model has not seen;
        ``"paper"`` sets everything as Shankar, Gully-Santiago & Morley did.
    lines : bool
        Whether to fit spectral lines, too, which takes minutes to hours. Parameters and flux
        do not depend on them; without them the emulator is a :class:`FluxEmulator`, fitted
        in seconds.
    medium : {"air", "vacuum"} or None
        Whether the wavelengths are in air or in vacuum. A grid says so itself; of wavelengths
        None leaves it open, and then no observed spectrum that says its own can be inferred.
    normalized : bool
        Whether the spectra have a continuum of 1 already; then no step normalises them.
    parameter_names : sequence of str or None
        Columns of the stellar parameters; raw spectra need a column ``"teff"`` in K. None is
        the grid's, or ``("teff", "logg", "feh")``.
    random_state : int, RandomState instance or None
        Seed of the search.
    device : str
        torch device for lines.
    memory : str, joblib.Memory or None
        Where fitted lines are cached.
    n_jobs : int or None
        Spectra fitted, and searched, at once.
    verbose : int
        Above 0, progress bars.

    Returns
    -------
    StellarParameterEstimator
        Its ``emulator`` is the LineManifoldRegressor, whose ``cloner`` is the Pipeline of
        normalisers and VoigtCloner; or, without lines, the FluxEmulator. Every setting can be
        changed by ``set_params``. Where a grid lists nodes in `missing`, which its library does
        not have, the emulator interpolates across them.

    Raises
    ------
    ValueError
        If `configuration` or `medium` is unknown, `medium` differs from the grid's, or the
        paper's configuration is asked for without lines.

    Notes
    -----
    The paper's settings and ours differ in:

    ==================== =============================== ================================
    setting              paper                           default
    ==================== =============================== ================================
    continuum            all peaks 5001 pixels apart     highest pixel of each window,
                                                         outliers clipped
    transmission         product of lines                exponential of their sum
    wings                cut to 6000 pixels              whole
    near the ends        no lines within 30 Å            lines everywhere
    fit                  Adam, 0.05, 100 epochs          Levenberg-Marquardt
    lines                detected ones                   added until an rms of 0.002
    identity of a line   its detected pixel              one list for all, grown
    along the grid       independent clones              surfaces fitted to all nodes
    missing line         ln a = -1000, then dropped      fades
    interpolation        linear                          what predicts left-out nodes best
    flux between nodes   of the lines                    of the spectra, lines beside it
    search               100 random and 20 guided        100 random, Gauss-Newton steps
    ==================== =============================== ================================

    The spacing of 5001 pixels belongs to the paper's 338,651 and is scaled to fewer.

    References
    ----------
    Shankar, Gully-Santiago & Morley, "Using Hybrid Machine Learning for Fundamental Stellar
    Parameter Inference"; the settings that it leaves open are those of its published code.

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
            f"configuration must be one of {sorted(CONFIGURATIONS)}, got {configuration!r}."
        )
    settings = CONFIGURATIONS[configuration]
    if not lines and settings["manifold"].get("flux", "auto") is None:
        raise ValueError(
            f"configuration={configuration!r} sums lines, and lines=False leaves them out; choose "
            f"configuration='default'."
        )
    wavelength, known = _describe(grid, medium, parameter_names)
    normalizer = None
    if not normalized:
        normalizer = make_pipeline(
            BlackbodyDivider(wavelength=wavelength),
            PercentileNormalizer(percentile=99),
            ContinuumNormalizer(wavelength=wavelength, degree=5, **settings["continuum"]),
        )
    if lines:
        cloner = VoigtCloner(
            wavelength=wavelength,
            device=device,
            memory=memory,
            n_jobs=n_jobs,
            verbose=verbose,
            **settings["cloner"],
        )
        if normalizer is not None:
            cloner = make_pipeline(*(step for _, step in normalizer.steps), cloner)
        emulator = LineManifoldRegressor(cloner, **known, **settings["manifold"])
    else:
        emulator = FluxEmulator(wavelength, normalizer, **known)
    return StellarParameterEstimator(
        emulator, random_state=random_state, n_jobs=n_jobs, verbose=verbose, **settings["search"]
    )


def _describe(grid, medium, parameter_names):
    """Wavelengths, and what an emulator is told beside them."""
    if medium not in ("air", "vacuum", None):
        raise ValueError(f"medium must be 'air', 'vacuum' or None, got {medium!r}.")
    known = {"medium": medium, "parameter_names": ("teff", "logg", "feh")}
    wavelength = grid
    if isinstance(grid, Mapping):
        if "wavelength" not in grid:
            raise ValueError(
                f"grid must be a Bunch with wavelength, as skphx.datasets returns it, or the "
                f"pixel centres in Å; got a mapping with {sorted(map(str, grid))}."
            )
        wavelength, own = grid["wavelength"], grid.get("medium")
        if own is not None and medium not in (None, own):
            raise ValueError(
                f"medium={medium!r} but the grid's wavelengths are in {own}; leave medium out, or "
                f"convert the grid's wavelengths and set its medium."
            )
        known["medium"] = medium if own is None else own
        known["parameter_names"] = tuple(grid.get("parameter_names", known["parameter_names"]))
        missing = grid.get("missing")
        if missing is not None and len(missing):
            known["holes"] = "interpolate"
    if parameter_names is not None:
        known["parameter_names"] = tuple(parameter_names)
    return wavelength, known


CONFIGURATIONS = {
    "paper": {
        "continuum": {"anchors": "peaks", "n_iterations": 0},
        "cloner": {
            "prominence": 0.005,
            "wing_cut": 6000,
            "optimizer": "adam",
            "n_epochs": 100,
            "learning_rate": 0.05,
            "profile": "pseudo-voigt",
            "transmission": "product",
            "line_list": "detected",
            "target_rms": None,
            "tolerance": 0,
            "min_distance": 4,
            "edge": 30.0,
        },
        "manifold": {"interpolation": "linear", "missing": "drop", "flux": None},
        "search": {"search": "gp_minimize", "n_calls": 120, "n_initial_points": 100},
    },
    "default": {"continuum": {}, "cloner": {}, "manifold": {}, "search": {}},
}
