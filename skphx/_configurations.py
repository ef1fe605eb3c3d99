"""One call for the whole chain: the paper's exact settings, or ours."""

from sklearn.pipeline import make_pipeline

from skphx._blackbody import BlackbodyDivider
from skphx._cloner import VoigtCloner
from skphx._continuum import ContinuumNormalizer
from skphx._estimator import StellarParameterEstimator
from skphx._manifold import LineManifoldRegressor
from skphx._percentile import PercentileNormalizer


def make_stellar_estimator(
    wavelength,
    configuration="default",
    *,
    normalized=False,
    parameter_names=("teff", "logg", "feh"),
    random_state=None,
    device="cpu",
    memory=None,
    n_jobs=None,
    verbose=0,
):
    """Assemble the whole chain from raw spectra to stellar parameters, unfitted.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,)
        Pixel centres in Å.
    configuration : {"default", "paper"}
        ``"default"`` is what measures best on spectra that the model has not seen;
        ``"paper"`` sets everything as Shankar, Gully-Santiago & Morley did.
    normalized : bool
        Whether the spectra have a continuum of 1 already; then no step normalises them.
    parameter_names : sequence of str
        Columns of the stellar parameters; raw spectra need a column ``"teff"`` in K.
    random_state : int, RandomState instance or None
        Seed of the search.
    device : str
        torch device for lines.
    memory : str, joblib.Memory or None
        Where fitted clones are cached.
    n_jobs : int or None
        Spectra cloned, and searched, at once.
    verbose : int
        Above 0, progress bars.

    Returns
    -------
    StellarParameterEstimator
        Its ``emulator`` is the LineManifoldRegressor, whose ``cloner`` is the Pipeline of
        normalisers and VoigtCloner; every setting can be changed by ``set_params``.

    Raises
    ------
    ValueError
        If `configuration` is unknown.

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
    residual of clones   ignored                         interpolated and added
    search               100 random and 20 guided        100 random, least squares
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
    """
    if configuration not in CONFIGURATIONS:
        raise ValueError(
            f"configuration must be one of {sorted(CONFIGURATIONS)}, got {configuration!r}."
        )
    settings = CONFIGURATIONS[configuration]
    cloner = VoigtCloner(
        wavelength=wavelength,
        device=device,
        memory=memory,
        n_jobs=n_jobs,
        verbose=verbose,
        **settings["cloner"],
    )
    if not normalized:
        cloner = make_pipeline(
            BlackbodyDivider(wavelength=wavelength),
            PercentileNormalizer(percentile=99),
            ContinuumNormalizer(wavelength=wavelength, degree=5, **settings["continuum"]),
            cloner,
        )
    emulator = LineManifoldRegressor(
        cloner, parameter_names=parameter_names, **settings["manifold"]
    )
    return StellarParameterEstimator(
        emulator, random_state=random_state, n_jobs=n_jobs, verbose=verbose, **settings["search"]
    )


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
        "manifold": {"interpolation": "linear", "missing": "drop", "residual": False},
        "search": {"n_calls": 120, "n_initial_points": 100, "refine": False},
    },
    "default": {
        "continuum": {},
        "cloner": {},
        "manifold": {"interpolation": "auto", "missing": "fade", "residual": True},
        "search": {"n_calls": 100, "n_initial_points": 100, "refine": True},
    },
}
