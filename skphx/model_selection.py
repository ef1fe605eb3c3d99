"""Cross-validation on grids: leave nodes out and predict them from nodes on all sides.

Random splits are not suitable to test an emulator: they leave out corners of the grid, to which
the emulator has to extrapolate, and leave holes. These splitters use the axes of the grid. They
can be passed as ``cv=`` to :func:`~sklearn.model_selection.cross_val_score` and
:class:`~sklearn.model_selection.GridSearchCV`.

Each splitter has to find the stellar parameters:

* ``parameters_in="X"`` (default): in X, as for ``LineManifoldRegressor``, which is fitted with
  ``fit(parameters, spectra)``;
* ``parameters_in="y"``: in y, as for ``StellarParameterEstimator``, which is fitted with
  ``fit(spectra, parameters)``;
* ``parameters=array``: in this array, one row per sample; X and y are not used.

Score planes with an error, such as :func:`skphx.metrics.flux_rms` in
:func:`~sklearn.metrics.make_scorer`, or "neg_mean_absolute_error". Do not use R²: it divides by
the variance of the targets, which is zero for the parameter whose plane is left out.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _num_samples

from skphx.interpolation._nodes import check_nodes, lattice_of

__all__ = ["Coarsen", "InteriorNodes", "LeavePlaneOut"]


class _GridSplitter(BaseCrossValidator):
    """Find the axes of the grid in X, y or an array; subclasses choose the nodes to leave out."""

    def __init__(
        self,
        *,
        parameters_in: Literal["X", "y"] = "X",
        parameters: ArrayLike | None = None,
        parameter_names: Sequence[str] | None = None,
    ) -> None:
        self.parameters_in = parameters_in
        self.parameters = parameters
        self.parameter_names = parameter_names

    def split(
        self, X: ArrayLike | None = None, y: ArrayLike | None = None, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the rows to train on and the rows to test on.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or None
            The stellar parameters if ``parameters_in="X"``.
        y : array-like of shape (n_samples, n_outputs), or None
            The stellar parameters if ``parameters_in="y"``.
        groups : object
            Not used, present for API consistency.

        Yields
        ------
        train, test : ndarray of int
            Rows, increasing.

        Raises
        ------
        ValueError
            If X or y does not hold the parameters, or the grid has no node that can be left
            out.
        """
        for train, test in self._masks(*self._lattice(X, y)):
            yield np.flatnonzero(train), np.flatnonzero(test)

    def get_n_splits(
        self, X: ArrayLike | None = None, y: ArrayLike | None = None, groups: Any = None
    ) -> int:
        """Return the number of splits.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or None
            The stellar parameters if ``parameters_in="X"``.
        y : array-like of shape (n_samples, n_outputs), or None
            The stellar parameters if ``parameters_in="y"``.
        groups : object
            Not used, present for API consistency.

        Returns
        -------
        int
            Number of splits.

        Raises
        ------
        ValueError
            As for `split`.
        """
        return sum(1 for _ in self._masks(*self._lattice(X, y)))

    @abstractmethod
    def _masks(self, axes, positions, parameter_names):
        """Yield for each split a mask of the training nodes and one of the test nodes."""

    def _lattice(self, X, y):
        """Axes, the positions of the samples on them, and the names of the columns."""
        if self.parameters_in not in ("X", "y"):
            raise ValueError(
                f"parameters_in must be 'X' (samples are parameters, targets spectra) or 'y' "
                f"(samples are spectra, targets parameters), got {self.parameters_in!r}."
            )
        source = self.parameters
        name = "parameters"
        if source is None:
            source, name = (X, "X") if self.parameters_in == "X" else (y, "y")
            if source is None:
                raise ValueError(
                    f"{type(self).__name__} expects the parameters in {name}, which is None; "
                    f"pass {name}, set parameters of the splitter, or change parameters_in."
                )
        nodes, parameter_names = check_nodes(source, self.parameter_names, name=name)
        for other, array in (("X", X), ("y", y)):
            if array is not None and _num_samples(array) != len(nodes):
                raise ValueError(
                    f"{name} holds the parameters of {len(nodes)} samples but {other} has "
                    f"{_num_samples(array)}; give one row of parameters per sample."
                )
        axes, positions = lattice_of(nodes)
        return axes, positions, parameter_names

    def _columns(self, parameter, parameter_names):
        """Numbers of the columns of the given parameters; None is all."""
        if parameter is None:
            return list(range(len(parameter_names)))
        given = parameter if isinstance(parameter, list | tuple) else [parameter]
        columns = []
        for one in given:
            if isinstance(one, str) and one in parameter_names:
                columns.append(parameter_names.index(one))
            elif not isinstance(one, str) and 0 <= one < len(parameter_names):
                columns.append(int(one))
            else:
                hint = (
                    " (pass parameter_names to use other names)"
                    if self.parameter_names is None
                    else ""
                )
                raise ValueError(
                    f"parameter must be a name among {parameter_names}{hint} or a column from "
                    f"0 to {len(parameter_names) - 1}, got {one!r}."
                )
        return columns


def _evenly(n_available, n_wanted, name):
    """Choose n_wanted of n_available items, evenly spaced; all if n_wanted is None."""
    if n_wanted is None:
        return np.arange(n_available)
    if not 1 <= n_wanted <= n_available:
        raise ValueError(
            f"{name} must be from 1 to {n_available}, the number of possible splits of this "
            f"grid, or None for all of them, got {n_wanted}."
        )
    return np.round((np.arange(n_wanted) + 0.5) * n_available / n_wanted - 0.5).astype(int)


class LeavePlaneOut(_GridSplitter):
    """Leave out one plane of the grid at a time: all nodes with one value of one parameter.

    If only interior planes are left out, the test nodes are between training nodes, so that
    nothing is extrapolated; and the training nodes of a full product are a full product, so that
    there are no holes.

    Parameters
    ----------
    parameter : str, int, list of these, or None
        Parameters whose planes are left out, by name or column; None is all. Parameters with
        too few values are skipped if `parameter` is None, and else raise an error.
    n_splits : int or None
        Number of planes to use, evenly chosen; None is all.
    interior_only : bool
        Whether to keep the first and the last plane of each parameter in the training set. If
        False they are left out, too, and the emulator has to extrapolate.
    parameters_in : {"X", "y"}
        Which argument of `split` holds the stellar parameters, see `skphx.model_selection`.
    parameters : array-like or table of shape (n_samples, n_parameters), or None
        The stellar parameters; if given, `parameters_in` is not used.
    parameter_names : sequence of str, or None
        Names of the columns, by which those of a table are found; None is the names of the
        columns of a table, else ``x0, x1, ...``.

    Raises
    ------
    ValueError
        By `split`, if a given parameter, or every parameter if None is given, has fewer than
        three values (two with ``interior_only=False``).

    Examples
    --------
    >>> from skphx.model_selection import LeavePlaneOut
    >>> parameters = [[teff, logg] for teff in (5000, 5500, 6000) for logg in (4.0, 4.5)]
    >>> splitter = LeavePlaneOut(parameter_names=("teff", "logg"))
    >>> for train, test in splitter.split(parameters):
    ...     print(train, test)
    [0 1 4 5] [2 3]
    >>> next(LeavePlaneOut("logg", parameter_names=("teff", "logg")).split(parameters))
    Traceback (most recent call last):
        ...
    ValueError: leaving out an interior plane needs at least 3 values of logg, got 2 ...
    """

    def __init__(
        self,
        parameter: str | int | Sequence[str | int] | None = None,
        *,
        n_splits: int | None = None,
        interior_only: bool = True,
        parameters_in: Literal["X", "y"] = "X",
        parameters: ArrayLike | None = None,
        parameter_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            parameters_in=parameters_in, parameters=parameters, parameter_names=parameter_names
        )
        self.parameter = parameter
        self.n_splits = n_splits
        self.interior_only = interior_only

    def _masks(self, axes, positions, parameter_names):
        n_needed, skipped = (3, 1) if self.interior_only else (2, 0)
        kind = "an interior plane" if self.interior_only else "a plane"
        planes = []
        for column in self._columns(self.parameter, parameter_names):
            n_values = len(axes[column])
            if n_values >= n_needed:
                planes += [(column, place) for place in range(skipped, n_values - skipped)]
            elif self.parameter is not None:
                values = ", ".join(f"{value:.10g}" for value in axes[column])
                raise ValueError(
                    f"leaving out {kind} needs at least {n_needed} values of "
                    f"{parameter_names[column]}, got {n_values} ({values}); choose another "
                    f"parameter or supply more nodes."
                )
        if not planes:
            sizes = ", ".join(
                f"{name}: {len(axis)}" for name, axis in zip(parameter_names, axes, strict=True)
            )
            raise ValueError(
                f"leaving out {kind} needs at least {n_needed} values of a parameter, got "
                f"{sizes}; supply more nodes."
            )
        for number in _evenly(len(planes), self.n_splits, "n_splits"):
            column, place = planes[number]
            test = positions[:, column] == place
            yield ~test, test


class Coarsen(_GridSplitter):
    """Train on every second node of each axis, and test on the nodes between: one split.

    The first and the last value of each axis are always used for training, so that all test
    nodes are interpolated; of an axis with an even number of values the last two are used. The
    training nodes of a full product are a full product.

    Parameters
    ----------
    parameter : str, int, list of these, or None
        Parameters whose axes are thinned out, by name or column; None is all. Axes of fewer
        than three values are kept if `parameter` is None, and else raise an error.
    step : int
        Every `step`-th value is used for training.
    parameters_in : {"X", "y"}
        Which argument of `split` holds the stellar parameters, see `skphx.model_selection`.
    parameters : array-like or table of shape (n_samples, n_parameters), or None
        The stellar parameters; if given, `parameters_in` is not used.
    parameter_names : sequence of str, or None
        Names of the columns, by which those of a table are found; None is the names of the
        columns of a table, else ``x0, x1, ...``.

    Raises
    ------
    ValueError
        By `split`, if `step` is less than 2, or a given parameter, or every parameter if None is
        given, has fewer than three values.

    Examples
    --------
    >>> from skphx.model_selection import Coarsen
    >>> teff = [[3000], [3100], [3200], [3300], [3400]]
    >>> list(Coarsen().split(teff))
    [(array([0, 2, 4]), array([1, 3]))]
    """

    def __init__(
        self,
        parameter: str | int | Sequence[str | int] | None = None,
        *,
        step: int = 2,
        parameters_in: Literal["X", "y"] = "X",
        parameters: ArrayLike | None = None,
        parameter_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            parameters_in=parameters_in, parameters=parameters, parameter_names=parameter_names
        )
        self.parameter = parameter
        self.step = step

    def _masks(self, axes, positions, parameter_names):
        if self.step < 2:
            raise ValueError(
                f"step must be at least 2, so that there are nodes to test on, got {self.step}."
            )
        train = np.ones(len(positions), dtype=bool)
        for column in self._columns(self.parameter, parameter_names):
            n_values = len(axes[column])
            if n_values < 3 and self.parameter is not None:
                raise ValueError(
                    f"coarsening needs at least 3 values of {parameter_names[column]}, got "
                    f"{n_values}; choose another parameter or supply more nodes."
                )
            place = positions[:, column]
            train &= (place % self.step == 0) | (place == n_values - 1)
        if train.all():
            sizes = ", ".join(
                f"{name}: {len(axis)}" for name, axis in zip(parameter_names, axes, strict=True)
            )
            raise ValueError(
                f"coarsening needs at least 3 values of a parameter, got {sizes}; supply more "
                f"nodes."
            )
        yield train, ~train


class InteriorNodes(_GridSplitter):
    """Leave one interior node out at a time.

    An interior node has neither the first nor the last value of any parameter that has three or
    more values. The training nodes then have a hole, and the emulator must interpolate across it
    (``holes="interpolate"``).

    Parameters
    ----------
    n_splits : int or None
        Number of interior nodes to use; None is all.
    random_state : int, RandomState instance or None
        Seed to draw the `n_splits` nodes; with None they are evenly spaced in the rows.
    parameters_in : {"X", "y"}
        Which argument of `split` holds the stellar parameters, see `skphx.model_selection`.
    parameters : array-like or table of shape (n_samples, n_parameters), or None
        The stellar parameters; if given, `parameters_in` is not used.
    parameter_names : sequence of str, or None
        Names of the columns, by which those of a table are found; None is the names of the
        columns of a table, else ``x0, x1, ...``.

    Raises
    ------
    ValueError
        By `split`, if the grid has no interior node, or fewer than `n_splits`.

    Examples
    --------
    >>> from skphx.model_selection import InteriorNodes
    >>> parameters = [[teff, logg] for teff in (5000, 5500, 6000) for logg in (4.0, 4.5)]
    >>> [test.tolist() for _, test in InteriorNodes().split(parameters)]
    [[2], [3]]
    """

    def __init__(
        self,
        n_splits: int | None = None,
        *,
        random_state: int | np.random.RandomState | None = None,
        parameters_in: Literal["X", "y"] = "X",
        parameters: ArrayLike | None = None,
        parameter_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            parameters_in=parameters_in, parameters=parameters, parameter_names=parameter_names
        )
        self.n_splits = n_splits
        self.random_state = random_state

    def _masks(self, axes, positions, parameter_names):
        n_values = np.array([len(axis) for axis in axes])
        inside = (positions > 0) & (positions < n_values - 1)
        interior = np.flatnonzero(inside[:, n_values >= 3].all(axis=1))
        if (n_values < 3).all() or len(interior) == 0:
            sizes = ", ".join(
                f"{name}: {n}" for name, n in zip(parameter_names, n_values, strict=True)
            )
            raise ValueError(
                f"leaving an interior node out needs a node that is neither the first nor the "
                f"last on all axes of 3 or more values, got none (values: {sizes}); supply more "
                f"nodes."
            )
        chosen = _evenly(len(interior), self.n_splits, "n_splits")
        if self.n_splits is not None and self.random_state is not None:
            drawn = check_random_state(self.random_state).permutation(len(interior))
            chosen = np.sort(drawn[: self.n_splits])
        for node in interior[chosen]:
            test = np.zeros(len(positions), dtype=bool)
            test[node] = True
            yield ~test, test
