"""Splitters over grids: what they leave out, that it stays inside, and use by scikit-learn."""

import itertools

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score

from skphx.interpolation import make_grid
from skphx.interpolation._filled import FilledGrid
from skphx.interpolation._rectilinear import RectilinearGrid
from skphx.metrics import flux_rms
from skphx.model_selection import Coarsen, InteriorNodes, LeavePlaneOut

NAMES = ("teff", "logg", "feh")
TEFF = [4500.0, 4600.0, 4800.0, 5200.0, 6000.0]
LOGG = [2.0, 3.0, 4.0, 4.5]
FEH = [-0.5, 0.0]


@pytest.fixture(scope="module")
def parameters():
    rows = np.array(list(itertools.product(TEFF, LOGG, FEH)))
    return np.random.default_rng(0).permutation(rows)


class PixelInterpolator(RegressorMixin, BaseEstimator):
    """A user's emulator: interpolate every pixel; fit(parameters, spectra)."""

    def __init__(self, interpolation="linear", holes="error"):
        self.interpolation = interpolation
        self.holes = holes

    def fit(self, X, y):
        self.grid_ = make_grid(X, interpolation=self.interpolation, holes=self.holes)
        self.values_ = np.asarray(y)
        return self

    def predict(self, X):
        return self.grid_.weights(X) @ self.values_


def spectra_of(parameters):
    x, y, z = ((parameters - [5000, 3.5, 0]) / [500, 1, 0.5]).T
    return np.column_stack([np.sin(x) + y, np.exp(0.2 * x) * y, x**2 + y**2 * z])


def every_splitter():
    return [
        LeavePlaneOut(),
        LeavePlaneOut("logg", parameter_names=NAMES),
        LeavePlaneOut(n_splits=2),
        Coarsen(),
        Coarsen(step=3),
        InteriorNodes(),
        InteriorNodes(n_splits=3, random_state=0),
    ]


def test_test_nodes_are_new_and_inside(parameters):
    for splitter in every_splitter():
        splits = list(splitter.split(parameters))
        assert len(splits) == splitter.get_n_splits(parameters) > 0
        for train, test in splits:
            assert len(test) > 0
            assert np.array_equal(np.sort(np.r_[train, test]), np.arange(len(parameters)))
            assert FilledGrid(parameters[train]).contains(parameters[test]).all()


@pytest.mark.parametrize(
    "splitter", [LeavePlaneOut(), Coarsen(), Coarsen("teff", parameter_names=NAMES)]
)
def test_training_nodes_stay_a_full_product(parameters, splitter):
    splits = list(splitter.split(parameters))
    assert splits
    for train, test in splits:
        grid = RectilinearGrid(parameters[train], NAMES)  # raises where a node is missing
        assert grid.contains(parameters[test]).all()


def test_every_interior_plane_is_left_out_once(parameters):
    left_out = []
    for _, test in LeavePlaneOut().split(parameters):
        shared = [len(np.unique(column)) == 1 for column in parameters[test].T]
        assert sum(shared) == 1
        column = shared.index(True)
        value = parameters[test[0], column]
        assert len(test) == (parameters[:, column] == value).sum()
        left_out.append((column, value))
    assert left_out == [(0, value) for value in TEFF[1:-1]] + [(1, value) for value in LOGG[1:-1]]


@pytest.mark.parametrize("parameter", ["teff", 0, ["teff"]])
def test_plane_of_a_named_parameter(parameters, parameter):
    splitter = LeavePlaneOut(parameter, parameter_names=NAMES)
    values = [parameters[test[0], 0] for _, test in splitter.split(parameters)]
    assert values == TEFF[1:-1]


def test_outer_planes_on_request(parameters):
    splitter = LeavePlaneOut(2, interior_only=False)
    values = [parameters[test[0], 2] for _, test in splitter.split(parameters)]
    assert values == FEH


def test_number_of_planes(parameters):
    splitter = LeavePlaneOut("teff", n_splits=2, parameter_names=NAMES)
    splits = list(splitter.split(parameters))
    assert splitter.get_n_splits(parameters) == len(splits) == 2
    assert len({parameters[test[0], 0] for _, test in splits}) == 2


@pytest.mark.parametrize(("step", "kept"), [(2, [0, 2, 4, 5]), (3, [0, 3, 5]), (9, [0, 5])])
def test_coarsen_keeps_both_ends(step, kept):
    ((train, _),) = Coarsen(step=step).split(np.arange(6.0)[:, None])
    assert train.tolist() == kept


def test_coarsen_one_parameter(parameters):
    ((train, test),) = Coarsen(["teff"], parameter_names=NAMES).split(parameters)
    assert set(parameters[train, 0]) == {4500, 4800, 6000}
    assert set(parameters[test, 0]) == {4600, 5200}
    assert set(parameters[train, 1]) == set(LOGG)


def test_interior_nodes_are_inside_every_long_axis(parameters):
    nodes = [parameters[test[0]] for _, test in InteriorNodes().split(parameters)]
    expected = set(itertools.product(TEFF[1:-1], LOGG[1:-1], FEH))
    assert {tuple(node) for node in nodes} == expected
    assert len(nodes) == len(expected)


def test_drawn_interior_nodes_follow_the_seed(parameters):
    def drawn(seed):
        splitter = InteriorNodes(4, random_state=seed)
        return [int(test[0]) for _, test in splitter.split(parameters)]

    assert drawn(0) == drawn(0)
    assert len(set(drawn(0))) == 4
    assert any(drawn(0) != drawn(seed) for seed in (1, 2, 3))
    assert len(list(InteriorNodes(4).split(parameters))) == 4


def test_cross_val_score_of_an_emulator(parameters):
    spectra = spectra_of(parameters)
    scorer = make_scorer(flux_rms, greater_is_better=False)
    holes = PixelInterpolator("cubic", holes="interpolate")
    for model, splitter, n_splits in (
        (PixelInterpolator(), LeavePlaneOut(), 5),
        (PixelInterpolator("cubic"), Coarsen(), 1),
        (holes, InteriorNodes(3), 3),
    ):
        scores = cross_val_score(model, parameters, spectra, cv=splitter, scoring=scorer)
        assert scores.shape == (n_splits,)
        # Not exact, as the nodes are new, but better than the mean spectrum.
        mean = cross_val_score(DummyRegressor(), parameters, spectra, cv=splitter, scoring=scorer)
        assert (scores < -1e-6).all()
        assert (scores > mean).all()


def test_grid_search_finds_the_better_interpolation(parameters):
    search = GridSearchCV(
        PixelInterpolator(),
        {"interpolation": ["linear", "cubic"]},
        cv=LeavePlaneOut("teff", parameter_names=NAMES),
    )
    search.fit(parameters, spectra_of(parameters))
    assert search.best_params_ == {"interpolation": "cubic"}
    assert search.n_splits_ == 3


def test_parameters_in_y(parameters):
    # An estimator of parameters: samples are spectra, targets parameters.
    spectra = parameters @ np.random.default_rng(0).normal(size=(3, 6))
    splitter = LeavePlaneOut(parameters_in="y")
    expected = list(LeavePlaneOut().split(parameters))
    for one, other in zip(splitter.split(spectra, parameters), expected, strict=True):
        np.testing.assert_array_equal(one[1], other[1])
    scores = cross_val_score(LinearRegression(), spectra, parameters, cv=splitter)
    assert scores.shape == (5,)
    assert (scores <= 1).all()
    search = GridSearchCV(
        LinearRegression(),
        {"fit_intercept": [True, False]},
        cv=splitter,
        scoring="neg_mean_absolute_error",
    )
    search.fit(spectra, parameters)
    assert search.best_score_ > -1e-6


def test_parameters_of_their_own(parameters):
    splitter = LeavePlaneOut(parameters=parameters, parameters_in="y")
    assert splitter.get_n_splits() == 5
    unrelated = np.zeros((len(parameters), 2))
    tests = [test for _, test in splitter.split(unrelated)]
    for one, (_, other) in zip(tests, LeavePlaneOut().split(parameters), strict=True):
        np.testing.assert_array_equal(one, other)


def test_usable_without_names_by_cross_val_predict(parameters):
    # Every node is left out exactly once only where planes of one parameter cover the grid.
    splitter = LeavePlaneOut("feh", interior_only=False, parameter_names=NAMES)
    predicted = cross_val_predict(
        LinearRegression(), parameters, parameters.sum(axis=1), cv=splitter
    )
    assert predicted.shape == (len(parameters),)


def test_repr_names_the_settings():
    assert "interior_only=True" in repr(LeavePlaneOut("teff"))
    assert "step=3" in repr(Coarsen(step=3))
    assert "random_state=7" in repr(InteriorNodes(random_state=7))


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("splitter", "message"),
    [
        (LeavePlaneOut("feh", parameter_names=NAMES), r"at least 3 values of feh, got 2 \(-0\.5"),
        (LeavePlaneOut("alpha", parameter_names=NAMES), r"name among .*'feh'\).* got 'alpha'"),
        (LeavePlaneOut("teff"), r"x0.*pass parameter_names.* got 'teff'"),
        (LeavePlaneOut(3), "column from 0 to 2, got 3"),
        (LeavePlaneOut(n_splits=6), "n_splits must be from 1 to 5.*got 6"),
        (LeavePlaneOut(parameter_names=("teff",)), "3 columns but parameter_names has 1"),
        (LeavePlaneOut(parameters_in="Z"), "parameters_in must be 'X'.*or 'y'.*got 'Z'"),
        (LeavePlaneOut(parameters_in="y"), "parameters in y, which is None"),
        (LeavePlaneOut(parameters=[[1.0], [2.0], [3.0]]), "of 3 samples but X has 40"),
        (Coarsen(step=1), "step must be at least 2"),
        (Coarsen("feh", parameter_names=NAMES), "at least 3 values of feh, got 2"),
        (InteriorNodes(13), "n_splits must be from 1 to 12.*got 13"),
        (InteriorNodes(0, random_state=0), "n_splits must be from 1 to 12.*got 0"),
    ],
)
def test_clear_errors(parameters, splitter, message):
    with pytest.raises(ValueError, match=message):
        list(splitter.split(parameters))
    with pytest.raises(ValueError, match=message):
        splitter.get_n_splits(parameters)


@pytest.mark.parametrize(
    ("splitter", "message"),
    [
        (LeavePlaneOut(), "needs at least 3 values of a parameter, got x0: 2, x1: 1"),
        (Coarsen(), "needs at least 3 values of a parameter, got x0: 2, x1: 1"),
        (InteriorNodes(), r"got none \(values: x0: 2, x1: 1\)"),
    ],
)
def test_grid_too_small(splitter, message):
    with pytest.raises(ValueError, match=message):
        next(splitter.split([[5000.0, 4.0], [6000.0, 4.0]]))
