"""Tables, masks and units given to estimators, metrics and splitters are honoured or refused."""

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.nddata import NDDataArray
from astropy.table import QTable, Table
from astropy.utils.masked import Masked
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from skphx import (
    BlackbodyDivider,
    ContinuumNormalizer,
    FluxEmulator,
    LineManifoldRegressor,
    PercentileNormalizer,
    StellarParameterEstimator,
    VoigtCloner,
    load_model,
    make_stellar_estimator,
    save_model,
)
from skphx.datasets import make_stellar_grid
from skphx.inference import boxes_around, priors_around
from skphx.interpolation import make_grid
from skphx.metrics import flux_rms, mean_parameter_error, parameter_errors
from skphx.model_selection import Coarsen, InteriorNodes, LeavePlaneOut
from skphx.paper import PaperCloner, PaperEmulator
from skphx.species import LineList, identify_lines

NAMES = ["teff", "logg", "feh"]
MADE = make_stellar_grid(
    teff=(5000, 5500, 6000), logg=(4.0, 4.5), feh=(-0.5, 0.0), wavelength=(8500.0, 8520.0),
    n_pixels=300, n_lines=5, return_lines=True,
)  # fmt: skip
X, P, W = MADE.spectra / MADE.continuum, MADE.parameters, MADE.wavelength
POINT = np.array([[5250.0, 4.2, -0.2]])
MASK = np.zeros(X.shape, dtype=bool)
MASK[2, 7] = True
QUICK = {"n_initial_points": 20, "random_state": 0}


def tables(values):
    """The parameters in tables of every kind, with their columns in another order."""
    frame = pd.DataFrame(values, columns=NAMES)[["feh", "teff", "logg"]]
    units = {"teff": [*values[:, 0] / 1e3] * u.kK}
    return {
        "DataFrame": frame,
        "Table": Table.from_pandas(frame),
        "QTable": QTable(dict(frame) | units),
        "structured": frame.to_records(index=False),
    }


def cloner(**settings):
    return VoigtCloner(W, target_rms=None, max_iter=2, n_seeds=2, **settings)


def emulators():
    return {
        "flux": FluxEmulator(W),
        "lines": LineManifoldRegressor(cloner(), smoothness=0),
        "paper": PaperEmulator(
            PaperCloner(W, edge=0, optimizer="levenberg-marquardt", n_epochs=2)
        ),
    }


@pytest.fixture(scope="module")
def fitted():
    return {name: emulator.fit(P, X) for name, emulator in emulators().items()}


@pytest.fixture(scope="module")
def estimator():
    return StellarParameterEstimator(FluxEmulator(W), **QUICK).fit(X, P)


# Columns by name -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", tables(P))
@pytest.mark.parametrize("name", emulators())
def test_emulators_find_columns_by_name(fitted, name, kind):
    plain = fitted[name]
    flux = plain.predict(POINT)
    again = clone(plain).fit(tables(P)[kind], X)
    np.testing.assert_array_equal(again.grid_.nodes, P)
    for model in (plain, again):
        for points in tables(POINT).values():
            np.testing.assert_allclose(model.predict(points), flux, rtol=1e-13)
            np.testing.assert_allclose(model.jacobian(points), plain.jacobian(POINT), rtol=1e-10)
            np.testing.assert_allclose(model.distance(points), plain.distance(POINT))
        assert model.score(tables(P)[kind], X) == pytest.approx(plain.score(P, X), rel=1e-9)
    if name != "flux":
        np.testing.assert_allclose(
            plain.predict_lines(tables(POINT)[kind]), plain.predict_lines(POINT)
        )


@pytest.mark.parametrize("kind", tables(P))
def test_the_estimator_finds_columns_by_name(estimator, kind):
    table = tables(P)[kind]
    again = clone(estimator).fit(X, table)
    np.testing.assert_array_equal(again.predict(X[5:6]), estimator.predict(X[5:6]))
    assert again.score(X, table) == pytest.approx(1.0, abs=1e-3)
    frozen = StellarParameterEstimator(FrozenEstimator(estimator.emulator_), **QUICK)
    frozen.fit(X, table)
    assert frozen.score(X, table) == pytest.approx(1.0, abs=1e-3)


def test_names_that_are_unknown(fitted, estimator):
    wrong = pd.DataFrame(P, columns=["Teff", "logg", "feh"])
    message = "the columns of {} are Teff, logg, feh, and the parameters are teff, logg, feh"
    for call, name in (
        (lambda: FluxEmulator(W).fit(wrong, X), "X"),
        (lambda: fitted["flux"].predict(wrong), "X"),
        (lambda: fitted["lines"].predict_lines(wrong), "X"),
        (lambda: clone(estimator).fit(X, wrong), "y"),
        (lambda: estimator.score(X, wrong), "y"),
        (lambda: make_stellar_estimator(W, lines=False, normalized=True).fit(X, wrong), "y"),
        (lambda: make_grid(wrong, parameter_names=NAMES), "parameters"),
        (lambda: boxes_around(wrong, {"teff": 500.0}), "centers"),
    ):
        with pytest.raises(ValueError, match=message.format(name)):
            call()


def test_other_names_and_no_names():
    names = ("logg", "teff", "feh")
    table = tables(P)["DataFrame"]
    emulator = FluxEmulator(W, parameter_names=names).fit(table, X)
    np.testing.assert_array_equal(emulator.grid_.nodes, P[:, [1, 0, 2]])
    # Without names the columns keep their order, and scikit-learn compares their names.
    nameless = FluxEmulator(W, parameter_names=None).fit(table, X)
    np.testing.assert_array_equal(nameless.grid_.nodes, table.to_numpy())
    assert list(nameless.feature_names_in_) == list(table.columns)
    with pytest.raises(ValueError, match="feature names should match"):
        nameless.predict(table[NAMES])
    # Labels that are numbers are no names.
    np.testing.assert_array_equal(FluxEmulator(W).fit(pd.DataFrame(P), X).grid_.nodes, P)


def test_raw_spectra_and_tables():
    normalizer = make_pipeline(BlackbodyDivider(W), PercentileNormalizer())
    emulator = FluxEmulator(W, normalizer).fit(tables(P)["Table"], MADE.spectra)
    for table in tables(P).values():
        assert emulator.score(table, MADE.spectra) == pytest.approx(1.0, abs=1e-5)
        np.testing.assert_allclose(emulator.predict(table, absolute=True), MADE.spectra, rtol=0.01)


def test_cross_validation_with_tables(estimator):
    table = tables(P)["DataFrame"]
    emulator = FluxEmulator(W, holes="interpolate", interpolation="linear", extrapolate="clip")
    for splitter in (LeavePlaneOut("teff"), LeavePlaneOut("teff", parameter_names=NAMES)):
        splits, plain = splitter.split(table), LeavePlaneOut(0).split(P)
        for one, other in zip(splits, plain, strict=True):
            np.testing.assert_array_equal(one[1], other[1])
    of_table = cross_val_score(emulator, table, X, cv=LeavePlaneOut("teff"), error_score="raise")
    of_array = cross_val_score(emulator, P, X, cv=LeavePlaneOut(0), error_score="raise")
    np.testing.assert_allclose(of_table, of_array)
    settings = {"cv": 2, "error_score": "raise"}
    model = StellarParameterEstimator(emulator, **QUICK)
    rows = np.argsort(P[:, 1], kind="stable")
    np.testing.assert_allclose(
        cross_val_score(model, X[rows], table.iloc[rows], **settings),
        cross_val_score(model, X[rows], P[rows], **settings),
    )
    with pytest.raises(ValueError, match="the columns of X are feh, teff, logg, and"):
        next(Coarsen(parameter_names=("a", "b", "c")).split(table))


def test_metrics_find_columns_by_name():
    other = P + [10.0, 0.1, 0.2]
    plain = parameter_errors(P, other, NAMES)
    for table, column in zip(tables(P).values(), tables(other).values(), strict=True):
        for errors in (
            parameter_errors(table, other, NAMES),
            parameter_errors(P, column, NAMES),
            parameter_errors(table, column, NAMES),
        ):
            np.testing.assert_allclose(errors.bias, plain.bias)
        assert mean_parameter_error(
            table, other, parameter="logg", parameter_names=NAMES
        ) == pytest.approx(0.1)
    named = parameter_errors(tables(P)["DataFrame"], tables(other)["Table"])
    assert named.parameter_names == ("feh", "teff", "logg")
    np.testing.assert_allclose(named.bias, [0.2, 10.0, 0.1])
    with pytest.raises(ValueError, match="y_true has columns named feh, teff, logg, and y_pred"):
        parameter_errors(tables(P)["DataFrame"], other)


def test_boxes_and_priors_find_columns_by_name():
    for table in tables(P).values():
        boxes = boxes_around(table, {"teff": 500.0})
        np.testing.assert_array_equal(boxes, boxes_around(P, {"teff": 500.0}))
        priors = priors_around(table, {"logg": 0.1})
        np.testing.assert_array_equal(priors, priors_around(P, {"logg": 0.1}))


# Masks ---------------------------------------------------------------------------------------


def normalizers():
    return {
        "divider": BlackbodyDivider(W, teff=5500.0),
        "percentile": PercentileNormalizer(),
        "continuum": ContinuumNormalizer(W, degree=1),
        "cloner": cloner(),
    }


def masked(kind="numpy"):
    """Spectra of which one pixel is masked."""
    return {
        "numpy": lambda: np.ma.array(X, mask=MASK),
        "list": lambda: [np.ma.array(flux, mask=mask) for flux, mask in zip(X, MASK, strict=True)],
        "astropy": lambda: Masked(X, mask=MASK),
        "NDData": lambda: NDDataArray(X, mask=MASK),
    }[kind]()


@pytest.mark.parametrize("kind", ["numpy", "list", "astropy", "NDData"])
def test_masked_spectra_are_refused(fitted, estimator, kind):
    bad = masked(kind)
    calls = [
        lambda: estimator.predict(bad),
        lambda: clone(estimator).fit(bad, P),
        lambda: estimator.score(bad, P),
        lambda: flux_rms(X, bad),
    ]
    for model in normalizers().values():
        calls += [lambda model=model: clone(model).fit(bad)]
        calls += [lambda model=model: copy.copy(model).fit(X).transform(bad)]
        if hasattr(model, "fit_transform"):
            calls += [lambda model=model: clone(model).fit_transform(bad)]
    for model in fitted.values():
        calls += [lambda model=model: clone(model).fit(P, bad)]
        calls += [lambda model=model: model.score(P, bad)]
        calls += [lambda model=model: model.normalize(bad, P)]
    for call in calls:
        with pytest.raises(ValueError, match=r"must hold .*, but 1 of its 3600 .*masked, the fir"):
            call()


def test_a_mask_without_masked_elements_is_none(estimator):
    plain = FluxEmulator(W).fit(P, X)
    unmasked = FluxEmulator(W).fit(np.ma.array(P), np.ma.array(X))
    np.testing.assert_array_equal(unmasked.predict(np.ma.array(POINT)), plain.predict(POINT))
    np.testing.assert_array_equal(estimator.predict(np.ma.array(X[:2])), estimator.predict(X[:2]))
    for model in normalizers().values():
        np.testing.assert_array_equal(
            clone(model).fit_transform(np.ma.array(X)), clone(model).fit_transform(X)
        )


def test_other_masked_arguments_are_refused(fitted, estimator):
    parameters = np.ma.masked_equal(P, 5500.0)
    bounds = np.ma.masked_greater([[5000.0, 6000.0], [4.0, 4.5], [-0.5, 0.0]], 5500)
    sigma = np.ma.masked_greater(np.linspace(0.01, 0.02, 300), 0.015)
    normalised = PercentileNormalizer().fit(X)
    continuum = ContinuumNormalizer(W, degree=1).fit(X)
    divider = BlackbodyDivider(W)
    for call, name in (
        (lambda: FluxEmulator(W).fit(parameters, X), "X"),
        (lambda: fitted["flux"].predict(parameters), "X"),
        (lambda: fitted["lines"].predict_lines(parameters), "X"),
        (lambda: clone(estimator).fit(X, parameters), "y"),
        (lambda: estimator.predict(X[:1], bounds=bounds), "bounds"),
        (lambda: estimator.predict(X[:1], priors=bounds, sigma=0.01), "priors"),
        (lambda: estimator.predict(X[:1], sigma=sigma[None]), "sigma"),
        (lambda: parameter_errors(parameters, P, NAMES), "y_true"),
        (lambda: next(InteriorNodes().split(parameters)), "X"),
        (lambda: normalised.inverse_transform(X, scale=parameters[:, 0]), "scale"),
        (lambda: continuum.inverse_transform(X, continuum=masked()), "continuum"),
        (lambda: divider.fit(X, teff=parameters[:, 0]), "teff"),
        (lambda: FluxEmulator(np.ma.masked_greater(W, 8510)).fit(P, X), "wavelength"),
    ):
        with pytest.raises(ValueError, match=f"{name} must hold numbers everywhere, but .*masked"):
            call()
    lines = cloner().fit(X)
    table = np.ma.masked_less(lines.transform(X), -1e9)
    table[0, 0] = np.ma.masked
    with pytest.raises(ValueError, match=r"X must hold numbers.*a line that is absent is NaN"):
        lines.inverse_transform(table)


# Units ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["erg/(s cm2 AA)", "Jy", "K"])
def test_units_that_would_be_lost_are_refused(fitted, estimator, unit):
    flux = X * u.Unit(unit)
    calls = [
        lambda: estimator.predict(flux),
        lambda: estimator.predict(list(flux)),
        lambda: clone(estimator).fit(flux, P),
        lambda: estimator.predict(X, sigma=0.01 * u.Unit(unit)),
        lambda: FluxEmulator(W).fit(P, flux),
        lambda: fitted["lines"].score(P, flux),
        lambda: FluxEmulator(W).fit(P * u.K, X),
        lambda: fitted["flux"].predict(POINT * u.K),
        lambda: estimator.predict(X, bounds=[[5, 6]] * u.kK),
        lambda: flux_rms(flux, X),
        lambda: clone(estimator).fit(X, P * u.K),
    ]
    for model in normalizers().values():
        calls += [lambda model=model: clone(model).fit(flux)]
        calls += [lambda model=model: copy.copy(model).fit(X).transform(flux)]
    for call in calls:
        with pytest.raises(ValueError, match=r"has the unit .*, which would be lost; pass plain"):
            call()


def test_units_that_are_honoured(estimator):
    np.testing.assert_allclose(
        estimator.predict(100 * X[:2] * u.percent), estimator.predict(X[:2]), rtol=1e-9
    )
    plain = BlackbodyDivider(W).fit_transform(MADE.spectra, teff=P[:, 0])
    for teff in (P[:, 0] / 1e3 * u.kK, list(P[:, 0] * u.K), P[:, 0] * u.K - 0 * u.K):
        divided = BlackbodyDivider(W).fit_transform(MADE.spectra, teff=teff)
        np.testing.assert_allclose(divided, plain, rtol=1e-12)
    with pytest.raises(ValueError, match=r"teff must be in K.* got Angstrom"):
        BlackbodyDivider(W, teff=5000 * u.AA).fit(MADE.spectra)
    one = FluxEmulator(W, parameter_names="teff").fit(P[::4, :1] / 1e3 * u.kK, X[::4])
    np.testing.assert_array_equal(one.grid_.nodes, P[::4, :1])
    vmic = QTable({"teff": P[::4, 0] * u.K, "xi": [1.0, 1.0, 1.0] * u.km / u.s})
    with pytest.raises(ValueError, match=r"X\['xi'\] has the unit km / s, which would be lost"):
        FluxEmulator(W, parameter_names=("teff", "xi")).fit(vmic, X[::4])


def test_line_lists_with_units():
    wavelength = np.array([850.1, 850.9]) * u.nm
    empty = np.zeros(2)
    lines = LineList(wavelength, np.array(["Fe I", "Ti I"]), empty, empty, empty + 0.5, "air")
    found = identify_lines([850.901] * u.nm, lines, medium="air", tolerance=0.5 * u.pm)
    assert found.species.tolist() == [""]
    found = identify_lines([8509.01], lines, medium="air")
    assert found.species.tolist() == ["Ti I"]


# Saved with their Quantities -----------------------------------------------------------------

LENGTHS = {
    "array": W * u.AA,
    "in nm": (W * u.AA).to(u.nm),
    "tuple": (850.0 * u.nm, 8520.0 * u.AA),
    "Column": Table({"w": W * u.AA})["w"],
    "Series": pd.Series(W),
    "masked array": np.ma.array(W),
}


def models(wavelength):
    """Every estimator with a wavelength, unfitted, with what it is fitted to."""
    normalizer = make_pipeline(
        BlackbodyDivider(wavelength, teff=5.5 * u.kK), ContinuumNormalizer(wavelength, degree=1)
    )
    lines = VoigtCloner(wavelength, target_rms=None, max_iter=1, n_seeds=1)
    paper = PaperCloner(wavelength, edge=0, optimizer="levenberg-marquardt", n_epochs=1)
    emulator = FluxEmulator(wavelength, normalizer)
    return {
        "normalizers": (normalizer, (MADE.spectra,), MADE.spectra),
        "cloner": (lines, (X,), X),
        "paper's cloner": (paper, (X,), X),
        "flux": (emulator, (P, MADE.spectra), POINT),
        "lines": (LineManifoldRegressor(lines, smoothness=0), (P, X), POINT),
        "paper": (PaperEmulator(paper), (P, X), POINT),
        "estimator": (
            StellarParameterEstimator(FluxEmulator(wavelength), **QUICK), (X, P), X[:2]
        ),
        "frozen": (
            StellarParameterEstimator(
                FrozenEstimator(FluxEmulator(wavelength).fit(P, X)), **QUICK
            ),
            (X, P),
            X[:2],
        ),
    }  # fmt: skip


def settings_of(model):
    """Parameters as they are shown, for comparison."""
    return {name: repr(value) for name, value in model.get_params().items()}


@pytest.mark.parametrize("name", models(W))
def test_models_with_quantities_come_back(tmp_path, name):
    model, training, new = models(W * u.AA)[name]
    before = settings_of(model)
    model = clone(model).fit(*training)
    answer = model.transform(new) if hasattr(model, "transform") else model.predict(new)
    save_model(tmp_path / "m.skops", model, provenance={"grid": "generated"})
    assert settings_of(model) == before
    joblib.dump(model, tmp_path / "m.joblib")
    for again in (
        load_model(tmp_path / "m.skops"),
        joblib.load(tmp_path / "m.joblib"),
        pickle.loads(pickle.dumps(model)),
    ):
        found = again.transform(new) if hasattr(again, "transform") else again.predict(new)
        np.testing.assert_array_equal(found, answer)
        again = clone(again).fit(*training)
        found = again.transform(new) if hasattr(again, "transform") else again.predict(new)
        np.testing.assert_allclose(found, answer, rtol=1e-9)


@pytest.mark.parametrize("kind", LENGTHS)
def test_wavelengths_are_saved_in_angstrom(tmp_path, kind):
    divider = BlackbodyDivider(LENGTHS[kind], teff=5.5 * u.kK).fit(MADE.spectra)
    given = divider.wavelength
    saved = load_model(save_model(tmp_path / "m.skops", divider))
    assert divider.wavelength is given
    assert saved.teff == 5500.0
    if kind == "tuple":
        np.testing.assert_allclose(saved.wavelength, (8500.0, 8520.0))
        assert type(saved.wavelength) is tuple
    else:
        assert type(saved.wavelength) is np.ndarray
        np.testing.assert_allclose(saved.wavelength, W, rtol=1e-14)
    np.testing.assert_array_equal(saved.transform(MADE.spectra), divider.transform(MADE.spectra))


def test_a_function_is_refused_when_a_model_is_saved(tmp_path):
    model = PercentileNormalizer().fit(X)
    model.percentile = lambda wavelength: wavelength
    with pytest.raises(ValueError, match="<lambda>, which is not part of skphx and which load_m"):
        save_model(tmp_path / "m.skops", model)
    assert not (tmp_path / "m.skops").exists()


def test_other_settings_that_a_file_cannot_hold(tmp_path):
    model = StellarParameterEstimator(
        FluxEmulator(W, parameter_names=pd.Index(NAMES)),
        bounds=pd.DataFrame([[5000.0, 6000.0], [4.0, 4.5], [-0.5, 0.0]]),
        **QUICK,
    ).fit(X, P)
    saved = load_model(save_model(tmp_path / "m.skops", model))
    assert saved.emulator.parameter_names == NAMES
    np.testing.assert_array_equal(saved.predict(X[:2]), model.predict(X[:2]))
    lines = cloner(memory=joblib.Memory(tmp_path / "cache", verbose=0), archive=tmp_path / "grid")
    saved = load_model(save_model(tmp_path / "m.skops", lines.fit(X)))
    assert saved.memory == str(tmp_path / "cache")
    assert saved.archive == str(tmp_path / "grid")
    odd = PercentileNormalizer().fit(X).set_params(percentile=99 * u.V)
    with pytest.raises(ValueError, match="percentile has the unit V, which a model file cannot"):
        save_model(tmp_path / "odd.skops", odd)
    assert odd.percentile == 99 * u.V
