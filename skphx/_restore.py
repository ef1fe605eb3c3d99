"""Restore an estimator's attributes when a fit fails."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

_Estimator = TypeVar("_Estimator")
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def restore_on_failure(
    method: Callable[Concatenate[_Estimator, _Parameters], _Result],
) -> Callable[Concatenate[_Estimator, _Parameters], _Result]:
    """Undo the attributes that a method has set on its estimator if the method raises.

    After a refit that fails, or that the user interrupts, the estimator still has the attributes
    of the fit before, and can predict. References are restored, not contents: the method must
    replace attributes, and not change arrays in place.

    Parameters
    ----------
    method : callable
        Method of an estimator, such as ``fit``.

    Returns
    -------
    callable
        The method, with its signature and docstring.

    Examples
    --------
    >>> from skphx._restore import restore_on_failure
    >>> class Mean:
    ...     @restore_on_failure
    ...     def fit(self, values):
    ...         self.n_values_ = len(values)
    ...         self.mean_ = sum(values) / len(values)
    ...         return self
    >>> mean = Mean().fit([1.0, 3.0])
    >>> mean.fit([])
    Traceback (most recent call last):
        ...
    ZeroDivisionError: division by zero
    >>> mean.n_values_, mean.mean_
    (2, 2.0)
    """

    @wraps(method)
    def restoring(
        self: _Estimator, *args: _Parameters.args, **kwargs: _Parameters.kwargs
    ) -> _Result:
        before = dict(vars(self))
        try:
            return method(self, *args, **kwargs)
        except BaseException:  # also KeyboardInterrupt during a long fit
            vars(self).clear()
            vars(self).update(before)
            raise

    return restoring
