"""load_table_grid: load a grid from a table of files and their parameters."""

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from sklearn.utils import Bunch

from skphx._atomic_write import inside
from skphx._domain import STELLAR_PARAMETERS, check_file
from skphx.datasets._grid_arrays import as_grid
from skphx.datasets._medium import Medium
from skphx.datasets._reading import GridReader, check_dtype
from skphx.datasets._selection import columns_of
from skphx.datasets._spectrum_files import load_spectrum

if TYPE_CHECKING:
    from astropy.units import UnitBase


def load_table_grid(
    table: str | os.PathLike[str],
    *,
    folder: str | os.PathLike[str] | None = None,
    wavelength: ArrayLike | None = None,
    medium: Medium | None = None,
    wavelength_unit: "str | UnitBase | None" = None,
    dtype: DTypeLike = np.float64,
) -> Bunch:
    r"""Load a grid from a table of files that :func:`load_spectrum` can read.

    Parameters
    ----------
    table : path
        CSV file with a column ``file`` and one column for each parameter: ``teff``, ``logg``,
        ``feh`` and others.
    folder : path or None
        Folder of the files; None is the folder of the table. Names that lead out of it are
        refused.
    wavelength : tuple (low, high), array-like of shape (n_pixels,), or None
        A tuple is a range in Å, both ends included. An array is the pixel centres in Å to which
        all spectra are interpolated linearly; it is needed if the files have different pixels.
        None keeps all pixels.
    medium : {"air", "vacuum"} or None
        As for :func:`load_spectrum`.
    wavelength_unit : str, astropy unit, or None
        As for :func:`load_spectrum`.
    dtype : {numpy.float64, numpy.float32}
        Type of the flux.

    Returns
    -------
    Bunch
        The grid, see :mod:`skphx.datasets`.

    Raises
    ------
    FileNotFoundError
        If the table does not exist.
    ValueError
        If the table has missing columns or files outside the folder, or files are damaged (the
        message lists them).

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
    table = check_file(table)
    rows = _read_rows(table)
    folder = table.parent if folder is None else Path(folder)
    paths = [inside(folder, row["file"]) for row in rows]
    reader = GridReader(len(rows), wavelength, check_dtype(dtype), absolute=False)
    damaged, media, units = [], set(), set()
    for row, path in zip(rows, paths, strict=True):
        try:
            star = load_spectrum(path, medium=medium, wavelength_unit=wavelength_unit)
            if star.flux.ndim != 1:
                raise ValueError(f"it has {len(star.flux)} orders; spectra of a grid have one")
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
        raise ValueError(
            f"some files of {table.name} have wavelengths in air and some in vacuum; convert them "
            f"to one medium."
        )
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
    """Read the rows of the table: dicts with the name of the file, and numbers."""
    with open(table, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    columns = set(rows[0]) if rows else set()
    missing = [name for name in ("file", *STELLAR_PARAMETERS) if name not in columns]
    if missing:
        raise ValueError(
            f"{table.name} needs columns file, {', '.join(STELLAR_PARAMETERS)}, and lacks "
            f"{', '.join(missing)}; its first line must be the names of the columns."
        )
    numbers: list[dict[str, Any]] = []
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
