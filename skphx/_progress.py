"""Progress of a fit: the bars of `verbose`, and scikit-learn's callbacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from sklearn.callback import with_callbacks
from tqdm import tqdm

P = ParamSpec("P")
R = TypeVar("R")


@dataclass
class Task:
    """A part of a fit as scikit-learn's callbacks see it.

    Parameters
    ----------
    estimator : estimator
        Which is fitted.
    context : sklearn.callback.CallbackContext
        Where the part stands among the others.
    """

    estimator: Any
    context: Any

    def begin(self, name: str, n_subtasks: int | None = 0) -> Task:
        """Begin a part of this part, which has at most so many parts of its own."""
        context = self.context.subcontext(task_name=name, max_subtasks=n_subtasks)
        context.call_on_fit_task_begin(estimator=self.estimator)
        return Task(self.estimator, context)

    def end(self) -> None:
        """Say that this part is done."""
        self.context.call_on_fit_task_end(estimator=self.estimator)

    @contextmanager
    def hand_to(self, name: str, estimator: Any) -> Iterator[None]:
        """Let another estimator, fitted within, report to the same callbacks."""
        context = self.context.subcontext(task_name=name)
        with context.propagate_callback_context(estimator):
            context.call_on_fit_task_begin(estimator=self.estimator)
            yield
            context.call_on_fit_task_end(estimator=self.estimator)


@contextmanager
def fit_task(
    estimator: Any, X: Any = None, y: Any = None, *, n_subtasks: int | None = 0
) -> Iterator[Task]:
    """Run the body of a ``fit`` that is decorated with `sklearn.callback.with_callbacks`.

    Parameters
    ----------
    estimator : estimator
        With the mixin `sklearn.callback.CallbackSupportMixin`.
    X, y : array-like or None
        What `fit` was given.
    n_subtasks : int or None
        Largest number of parts; None is unknown.

    Yields
    ------
    Task
        The whole fit.
    """
    context = estimator._init_callback_context(max_subtasks=n_subtasks)
    context.call_on_fit_task_begin(estimator=estimator, X=X, y=y)
    yield Task(estimator, context)
    context.call_on_fit_task_end(estimator=estimator, X=X, y=y)


def one_task(
    method: Callable[Concatenate[Any, Any, P], R],
) -> Callable[Concatenate[Any, Any, P], R]:
    """Let a `fit` of a single step report its begin and end to callbacks.

    Parameters
    ----------
    method : callable
        Takes the estimator and `X`, and what else it likes.

    Returns
    -------
    callable
        The method, with its signature and docstring.
    """

    @wraps(method)
    def reporting(self: Any, X: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        with fit_task(self, X):
            return method(self, X, *args, **kwargs)

    return with_callbacks(reporting)


class Progress:
    """A bar and a task that are moved together, one step for each unit of work.

    Parameters
    ----------
    description : str
        What is done.
    total : int
        Number of steps, at most.
    unit : str
        What a step is.
    verbose : int
        Above 0, the bar is shown, with the mean rate and the time left.
    task : Task or None
        Of which this is a part.
    """

    def __init__(
        self,
        description: str,
        total: int,
        *,
        unit: str = "spectrum",
        verbose: int = 0,
        task: Task | None = None,
    ) -> None:
        self._unit = unit
        # The mean over the whole run: batches of parallel results come in bursts.
        self._bar = tqdm(
            desc=description, total=total, unit=unit, smoothing=0, disable=not verbose
        )
        self._task = None if task is None else task.begin(description, total)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._bar.close()
        if self._task is not None and kind is None:
            self._task.end()

    def update(self) -> None:
        """Count a step that is done."""
        self._bar.update()
        self._count(1)

    def skip(self, n_steps: int) -> None:
        """Count steps that an archive knew, but leave them out of the rate."""
        self._count(n_steps)
        if self._bar.disable or not n_steps:
            return
        self._bar.initial += n_steps
        self._bar.n += n_steps
        self._bar.set_postfix_str(f"{self._bar.initial} from the archive")

    def finish(self) -> None:
        """Show that no more steps come, though fewer were done than expected."""
        self._bar.total = self._bar.n

    def _count(self, n_steps):
        if self._task is not None:
            for _ in range(n_steps):
                self._task.begin(self._unit).end()
