"""What comes with the extra ``skphx[paper]``: say how to get it where it is missing."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needed_for(purpose: str) -> Iterator[None]:
    """Let an import that fails say what needs it, and the command that installs it.

    Parameters
    ----------
    purpose : str
        What the modules imported in the block are needed for.

    Raises
    ------
    ImportError
        In place of that of the block.

    Examples
    --------
    >>> from skphx.paper._extra import needed_for
    >>> with needed_for("a guided search"):
    ...     import no_such_module
    Traceback (most recent call last):
        ...
    ImportError: a guided search needs a package that could not be imported (No module named ...
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs a package that could not be imported ({error}): "
            f"pip install 'skphx[paper]'."
        ) from error
