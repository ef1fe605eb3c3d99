"""GridLayout: names and content of the files of a library of spectra.

:func:`list_grids` lists the libraries with a layout in skphx; :func:`register_grid` adds others.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skphx._domain import FLUX_UNIT, check_medium, plain_wavelength
from skphx._paths import plain_name
from skphx._plain import refuse_masked, unit_of
from skphx.datasets._grid_flux import split_unit
from skphx.datasets._medium import Medium

_REGISTRY: "dict[str, GridLayout]" = {}
# Modules with the layouts of skphx, imported when a layout is first needed.
_LAYOUT_MODULES = ("skphx.datasets._phoenix_layout", "skphx.datasets._other_layouts")


@dataclass(frozen=True)
class GridLayout:
    r"""Names and content of the files of a library of spectra.

    Parameters
    ----------
    name : str
        Name of the library in `load_grid` and `fetch_grid`.
    pattern : str
        Regular expression for complete file names; its named groups ``teff``, ``logg``, ``feh``
        and others are the parameters. Files that do not match are ignored. The suffix of a
        compressed file, ``.gz``, ``.bz2`` or ``.xz``, need not match.
    read : callable
        Takes a path, which may be that of a compressed file (`numpy.loadtxt` and `astropy` read
        these); returns wavelength in Å and flux, both of shape (n_pixels,). For files of
        several spectra it returns an iterable of ``(parameters, wavelength, flux)``, with
        ``parameters`` a dict of the parameters that are not in the file name.
    medium : {"air", "vacuum"} or None
        Medium of the wavelengths; None if the library does not state it, so that the user has
        to pass it.
    flux_unit : str or None
        Unit of the flux that `read` returns, in the notation of astropy.
    title : str
        Full name of the library.
    reference : str
        Publication of the library.
    convert : dict
        Functions that convert the text of a group of `pattern` to a number; default: float.
    defaults : dict
        Values of parameters that are not in the file name.
    header : callable or None
        Takes a path; returns a dict of the parameters in the header of the file, to find files
        with a wrong name.
    axes : dict
        Values of each parameter in the library, for downloads.
    path : callable or None
        Takes a dict of parameters; returns the path of the file on the server.
    extra_files : tuple of str
        Paths of files that are needed for all spectra, such as a common wavelength axis.
    check_extra : callable or None
        Takes the path of such a file; raises ValueError if it is damaged.
    url : str or None
        URL of the folder from which the paths start.
    max_bytes : int
        Upper limit of the size of a file of the library.

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
    read: Callable[[Path], Any]
    medium: Medium | None = None
    flux_unit: str | None = FLUX_UNIT
    title: str = ""
    reference: str = ""
    convert: Mapping[str, Callable[[str], float]] = field(default_factory=dict)
    defaults: Mapping[str, float] = field(default_factory=dict)
    header: Callable[[Path], Mapping[str, float]] | None = None
    axes: Mapping[str, Sequence[float]] = field(default_factory=dict)
    path: Callable[[dict[str, float]], str] | None = None
    extra_files: tuple[str, ...] = ()
    check_extra: Callable[[Path], Any] | None = None
    url: str | None = None
    max_bytes: int = 1 << 30

    def parameters_of(self, file_name: str) -> dict[str, float] | None:
        """Return the parameters in a file name.

        Parameters
        ----------
        file_name : str
            File name without its folder.

        Returns
        -------
        dict or None
            Value of each parameter; None if the file is not of this library.
        """
        match = re.fullmatch(self.pattern, file_name)
        if match is None:
            match = re.fullmatch(self.pattern, plain_name(file_name))
        if match is None:
            return None
        stated = {
            name: self.convert.get(name, float)(text)
            for name, text in match.groupdict().items()
            if text is not None
        }
        return {**self.defaults, **stated}

    def spectra(
        self, path: Path, parameters: dict[str, float]
    ) -> Iterator[tuple[dict[str, float], NDArray[np.floating], NDArray[np.floating]]]:
        """Iterate over the spectra of a file.

        Parameters
        ----------
        path : pathlib.Path
            The file.
        parameters : dict
            Parameters in the file name.

        Yields
        ------
        parameters : dict
            All parameters of the spectrum.
        wavelength, flux : ndarray of shape (n_pixels,)
            Results of `read`, without units.

        Raises
        ------
        ValueError
            If a pixel is masked, or a unit cannot be converted.
        """
        content = self.read(path)
        if isinstance(content, tuple | np.ndarray) and len(content) == 2:
            yield parameters, *self._plain(*content)
        else:
            for more, wavelength, flux in content:
                yield {**parameters, **more}, *self._plain(wavelength, flux)

    def _plain(self, wavelength: Any, flux: Any) -> tuple[Any, Any]:
        """Return what `read` has returned without units and masks, in Å and `flux_unit`."""
        refuse_masked(flux, "its flux", what="flux")
        wavelength = plain_wavelength(wavelength, "its wavelength")
        if unit_of(flux) is not None:
            flux, unit = split_unit(flux, self.flux_unit, wavelength, "the file")
            if self.flux_unit is None and unit:
                raise ValueError(
                    f"its flux is in {unit}, and flux_unit of the layout is None; give the "
                    f"layout a flux_unit"
                )
        return wavelength, flux


def register_grid(layout: GridLayout) -> None:
    """Register a library, so that `load_grid` and `fetch_grid` find it by its name.

    Parameters
    ----------
    layout : GridLayout
        The library; another one with the same name is replaced.

    Raises
    ------
    TypeError
        If `layout` is not a GridLayout.
    ValueError
        If its pattern is not a regular expression, or its medium is unknown.

    Examples
    --------
    A library of two-column text files:

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
        raise ValueError(
            f"pattern of {layout.name} is not a regular expression: {error}."
        ) from error
    check_medium(layout.medium, name=f"medium of {layout.name}")
    _REGISTRY[layout.name] = layout


def get_layout(name):
    """Return the layout with a given name, or a given layout.

    Parameters
    ----------
    name : str or GridLayout
        Name of a registered library, or a layout.

    Returns
    -------
    GridLayout
        The layout.

    Raises
    ------
    ValueError
        If there is no library with this name.
    """
    if isinstance(name, GridLayout):
        return name
    known = _known()
    if name not in known:
        raise ValueError(
            f"there is no grid {name!r}, only {', '.join(sorted(known))}; register_grid adds "
            f"others."
        )
    return known[name]


def list_grids() -> list[str]:
    """Return the names of the libraries that can be loaded.

    Returns
    -------
    list of str
        Names for `load_grid`; libraries with a URL can also be downloaded with `fetch_grid`.

    Examples
    --------
    >>> from skphx.datasets import list_grids
    >>> "phoenix" in list_grids()
    True
    """
    return sorted(_known())


def _known():
    for module in _LAYOUT_MODULES:
        for layout in import_module(module).LAYOUTS:
            # A layout of the user with the same name is not replaced.
            _REGISTRY.setdefault(layout.name, layout)
    return _REGISTRY
