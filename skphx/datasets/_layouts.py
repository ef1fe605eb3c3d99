"""Layouts of libraries of spectra: how files are named, and what is in them.

A :class:`GridLayout` is all that skphx knows of a library. Those that it ships are listed in
:func:`list_grids`; :func:`register_grid` adds one's own.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module

import numpy as np

from skphx._units import FLUX_UNIT

_REGISTRY = {}
# Modules that register what skphx ships, loaded when a layout is first asked for.
_SHIPPED = ("skphx.datasets._phoenix_layout", "skphx.datasets._other_layouts")


@dataclass(frozen=True)
class GridLayout:
    r"""How the files of a library of spectra are named and read.

    Parameters
    ----------
    name : str
        What `load_grid` and `fetch_grid` call it.
    pattern : str
        Regular expression of a whole file name; its named groups ``teff``, ``logg``, ``feh``
        and others are the parameters. Files that do not match are left alone.
    read : callable
        Takes a path; returns wavelength of shape (n_pixels,) in Å and flux of the same shape,
        or an iterable of ``(parameters, wavelength, flux)`` where one file holds several
        spectra, with ``parameters`` a dict of those that the name does not give.
    medium : {"air", "vacuum"} or None
        Medium of the wavelengths; None where the library does not say, and the user must.
    flux_unit : str or None
        Unit of what `read` returns, as astropy writes it.
    title : str
        Name of the library in full.
    reference : str
        Where it is published.
    convert : dict
        Functions that turn the text of a group of `pattern` into a number; float by default.
    defaults : dict
        Parameters of names that do not mention them.
    header : callable or None
        Takes a path; returns a dict of the parameters that the file itself states, to find
        files under a wrong name.
    axes : dict
        Values that each parameter takes in the library, for downloads.
    path : callable or None
        Takes a dict of parameters; returns the file's path on the server.
    extra_files : tuple of str
        Paths of files that all spectra need, such as a common wavelength axis.
    check_extra : callable or None
        Takes the path of such a file; raises ValueError where it is damaged.
    url : str or None
        Address of the folder that the paths start from.
    max_bytes : int
        More than any file of the library has.

    Examples
    --------
    >>> from skphx.datasets import GridLayout
    >>> layout = GridLayout("mine", r"t(?P<teff>\d+)_g(?P<logg>[\d.]+)_m(?P<feh>[-+\d.]+)\.txt",
    ...                     read=lambda path: np.loadtxt(path).T, medium="vacuum")
    >>> layout.parameters_of("t5000_g4.50_m-0.5.txt")
    {'teff': 5000.0, 'logg': 4.5, 'feh': -0.5}
    """

    name: str
    pattern: str
    read: Callable
    medium: str | None = None
    flux_unit: str | None = FLUX_UNIT
    title: str = ""
    reference: str = ""
    convert: dict = field(default_factory=dict)
    defaults: dict = field(default_factory=dict)
    header: Callable | None = None
    axes: dict = field(default_factory=dict)
    path: Callable | None = None
    extra_files: tuple = ()
    check_extra: Callable | None = None
    url: str | None = None
    max_bytes: int = 1 << 30

    def parameters_of(self, file_name):
        """Parameters that a file's name gives.

        Parameters
        ----------
        file_name : str
            Name without its folder.

        Returns
        -------
        dict or None
            Number of each parameter; None where the name is none of this library.
        """
        match = re.fullmatch(self.pattern, file_name)
        if match is None:
            return None
        stated = {
            name: self.convert.get(name, float)(text)
            for name, text in match.groupdict().items()
            if text is not None
        }
        return {**self.defaults, **stated}

    def spectra(self, path, parameters):
        """Every spectrum of a file.

        Parameters
        ----------
        path : pathlib.Path
            The file.
        parameters : dict
            What its name gives.

        Yields
        ------
        parameters, wavelength, flux
            As `read` returns them.
        """
        content = self.read(path)
        if isinstance(content, tuple | np.ndarray) and len(content) == 2:
            yield parameters, *content
        else:
            for more, wavelength, flux in content:
                yield {**parameters, **more}, wavelength, flux


def register_grid(layout):
    """Make a library known by its name, so that `load_grid` and `fetch_grid` find it.

    Parameters
    ----------
    layout : GridLayout
        The library; one of the same name is replaced.

    Raises
    ------
    TypeError
        If it is no GridLayout.
    ValueError
        If its pattern is no regular expression, or its medium is unknown.

    Examples
    --------
    A library of two-column text files, in a few lines:

    >>> import os, tempfile
    >>> import numpy as np
    >>> from skphx.datasets import GridLayout, load_grid, register_grid
    >>> register_grid(GridLayout(
    ...     "two-columns",
    ...     r"t(?P<teff>[0-9]+)_g(?P<logg>[0-9.]+)_m(?P<feh>[-+0-9.]+)[.]txt",
    ...     read=lambda path: np.loadtxt(path).T,
    ...     medium="vacuum",
    ...     flux_unit=None,
    ... ))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for teff in (5000, 6000):
    ...         columns = np.column_stack([np.arange(5000.0, 5010.0), np.full(10, 0.9)])
    ...         np.savetxt(os.path.join(folder, f"t{teff}_g4.5_m-0.5.txt"), columns)
    ...     grid = load_grid("two-columns", folder, wavelength=(5002, 5006))
    >>> grid.spectra.shape, grid.parameters.tolist()
    ((2, 5), [[5000.0, 4.5, -0.5], [6000.0, 4.5, -0.5]])
    """
    if not isinstance(layout, GridLayout):
        raise TypeError(f"layout must be a GridLayout, got {type(layout).__name__}.")
    try:
        re.compile(layout.pattern)
    except re.error as error:
        raise ValueError(f"pattern of {layout.name} is no regular expression: {error}.") from error
    if layout.medium not in ("air", "vacuum", None):
        raise ValueError(
            f"medium of {layout.name} must be 'air', 'vacuum' or None, got {layout.medium!r}."
        )
    _REGISTRY[layout.name] = layout


def get_layout(name):
    """Layout of a library by its name, or the layout itself.

    Parameters
    ----------
    name : str or GridLayout
        As registered.

    Returns
    -------
    GridLayout
        The layout.

    Raises
    ------
    ValueError
        If no library has this name.
    """
    if isinstance(name, GridLayout):
        return name
    known = _known()
    if name not in known:
        raise ValueError(
            f"there is no grid {name!r}, only {', '.join(sorted(known))}; register_grid adds one."
        )
    return known[name]


def list_grids():
    """Names of the libraries whose files can be loaded.

    Returns
    -------
    list of str
        Names for `load_grid`; those with an address also for `fetch_grid`.

    Examples
    --------
    >>> from skphx.datasets import list_grids
    >>> "phoenix" in list_grids()
    True
    """
    return sorted(_known())


def _known():
    for module in _SHIPPED:
        for layout in import_module(module).LAYOUTS:
            # A user's layout of the same name stands.
            _REGISTRY.setdefault(layout.name, layout)
    return _REGISTRY
