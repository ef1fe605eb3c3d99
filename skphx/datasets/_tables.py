"""A user's own grid: a table that names a file and its parameters in every row."""

import csv
from pathlib import Path

import numpy as np

from skphx._files import inside
from skphx.datasets._grid_arrays import as_grid
from skphx.datasets._observed import load_spectrum
from skphx.datasets._reading import GridReader
from skphx.datasets._selection import columns_of
from skphx.datasets._stellar_grid import PARAMETER_UNITS


def load_table_grid(
    table,
    *,
    folder=None,
    wavelength=None,
    medium=None,
    wavelength_unit=None,
    dtype=np.float64,
):
    r"""Load a grid from a table of files, each of which :func:`load_spectrum` reads.

    Parameters
    ----------
    table : path
        CSV file with a column ``file`` and one for each parameter, ``teff``, ``logg``, ``feh`` and
        others.
    folder : path or None
        Folder that the names of files start from; None is the table's own. They must stay in it.
    wavelength : tuple (low, high), array-like of shape (n_pixels,), or None
        Keep the pixels from low to high in Å, both included; or interpolate linearly to these
        pixels, which files need that have each their own; or keep all.
    medium : {"air", "vacuum"} or None
        As for :func:`load_spectrum`.
    wavelength_unit : str, astropy unit, or None
        As for :func:`load_spectrum`.
    dtype : {numpy.float64, numpy.float32}
        Type of the flux.

    Returns
    -------
    Bunch
        As all grids, see :mod:`skphx.datasets`.

    Raises
    ------
    FileNotFoundError
        If the table is not there.
    ValueError
        If it lacks columns, names files outside of the folder, or files are damaged; each is
        named.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from skphx.datasets import load_table_grid
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = os.path.join(folder, "grid.csv")
    ...     with open(table, "w") as file:
    ...         _ = file.write("file,teff,logg,feh\na.txt,5000,4.5,0\nb.txt,6000,4.5,0\n")
    ...     for name in ("a.txt", "b.txt"):
    ...         columns = np.column_stack([np.arange(5000.0, 5010.0), np.full(10, 0.9)])
    ...         np.savetxt(os.path.join(folder, name), columns)
    ...     grid = load_table_grid(table, medium="air", wavelength_unit="Angstrom")
    >>> grid.spectra.shape, grid.parameters[:, 0].tolist()
    ((2, 10), [5000.0, 6000.0])
    """
    table = Path(table)
    rows = _read_rows(table)
    folder = table.parent if folder is None else Path(folder)
    paths = [inside(folder, row["file"]) for row in rows]
    reader = GridReader(len(rows), wavelength, np.dtype(dtype), absolute=False)
    damaged, media, units = [], set(), set()
    for row, path in zip(rows, paths, strict=True):
        try:
            star = load_spectrum(path, medium=medium, wavelength_unit=wavelength_unit)
            if star.flux.ndim != 1:
                raise ValueError(f"it has {len(star.flux)} orders; a grid has one a spectrum")
            reader.add(star.wavelength, star.flux)
        except (ValueError, OSError) as error:
            damaged.append(f"{row['file']}: {error}")
            continue
        media.add(star.medium)
        units.add(star.units["flux"])
    if damaged:
        listed = "\n  ".join(damaged[:8] + ["..."] * (len(damaged) > 8))
        raise ValueError(
            f"{len(damaged)} of {len(rows)} files of {table.name} cannot be used:\n  {listed}"
        )
    if len(media) > 1:
        raise ValueError(f"some files of {table.name} are in air and some in vacuum; convert one.")
    nodes = [{name: row[name] for name in row if name != "file"} for row in rows]
    names, constants = columns_of(nodes)
    grid = as_grid(
        name=table.name,
        spectra=reader.spectra,
        parameters=np.array([[node[name] for name in names] for node in nodes]),
        names=names,
        wavelength=reader.wavelength,
        medium=media.pop(),
        unit=units.pop() if len(units) == 1 else None,
    )
    grid.constants = constants
    grid.provenance |= {"folder": str(folder), "n_files": len(rows)}
    return grid


def _read_rows(table):
    """Rows of the table: dicts with the file's name and numbers."""
    if not table.is_file():
        raise FileNotFoundError(f"There is no file {table}: check the path.")
    with open(table, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    columns = set(rows[0]) if rows else set()
    missing = [name for name in ("file", *PARAMETER_UNITS) if name not in columns]
    if missing:
        raise ValueError(
            f"{table.name} needs columns file, {', '.join(PARAMETER_UNITS)}, and lacks "
            f"{', '.join(missing)}; its first line must name the columns."
        )
    numbers = []
    for line, row in enumerate(rows, start=2):
        try:
            values = {name: float(row[name]) for name in row if name != "file"}
        except (TypeError, ValueError):
            raise ValueError(
                f"line {line} of {table.name} must hold a number in each column but file, got "
                f"{row}."
            ) from None
        if not np.isfinite(list(values.values())).all():
            raise ValueError(f"line {line} of {table.name} must hold finite numbers, got {row}.")
        numbers.append({"file": row["file"], **values})
    return numbers
