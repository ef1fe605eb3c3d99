"""A fit that fails leaves the estimator as it was before."""

from functools import wraps


def restore_on_failure(method):
    """Undo what a method set on its estimator when it raises.

    A refused refit, or one that the user interrupts, then keeps what was fitted before, so
    that the estimator still predicts. Attributes are put back as they were, by reference:
    the method must replace them, not change them in place.

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
    def restoring(self, *args, **kwargs):
        before = dict(vars(self))
        try:
            return method(self, *args, **kwargs)
        except BaseException:  # also Ctrl-C in the middle of a long fit
            vars(self).clear()
            vars(self).update(before)
            raise

    return restoring
