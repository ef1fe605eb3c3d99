"""Layouts of other public libraries, from their documentation.

=============  ======================================================  ====================
library        files                                                   medium
=============  ======================================================  ====================
bt-settl       text, log10 flux, in any order                          not in the files
sonora-bobcat  text, flux per frequency                                not in the files
bosz           text, first moment H; wavelengths in a separate file,    air above 2000 Å
               or with the flux at original resolution
atlas9         FITS tables, one file per Teff, one column per log g     not in the files
cooltlusty     text, columns LAMBDA(mic) and FLAM                       not in the files
=============  ======================================================  ====================

Files may be compressed. All fluxes are converted to erg s⁻¹ cm⁻² cm⁻¹.
"""

import os
import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from skphx._domain import ANGSTROM_PER_CM, ANGSTROM_PER_MICRON, SPEED_OF_LIGHT_ANGSTROM
from skphx._paths import find_file, open_text
from skphx.datasets._layouts import GridLayout


def _open_text(path):
    """Open a text file, which may be compressed."""
    return open_text(path, encoding="ascii", errors="replace")


def _numbers(words):
    """Convert numbers in the notation of Fortran, with D for the exponent."""
    return np.array([word.replace("D", "E").replace("d", "e") for word in words], dtype=np.float64)


def read_bt_settl(path):
    """Read a ``.spec.7`` file: Å and log10 of flux, in columns of fixed width.

    There may be a minus sign instead of a blank between two numbers. The lines are not sorted by
    wavelength.
    """
    wavelength, flux = [], []
    with _open_text(path) as file:
        for line in file:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            # A number, then a number that starts with a sign or a blank.
            match = re.match(r"\s*([\d.]+(?:[DdEe][-+]?\d+)?)\s*([-+]?[\d.]+(?:[DdEe][-+]?\d+)?)",
                             line)  # fmt: skip
            if match is None:
                raise ValueError(f"it has a line without wavelength and flux: {line[:40]!r}")
            wavelength.append(match[1])
            flux.append(match[2])
    # With the documented offset of -8 the unit is erg s-1 cm-2 Å-1, without it erg s-1 cm-2 cm-1.
    return _numbers(wavelength), 10.0 ** _numbers(flux)


def read_sonora_bobcat(path):
    """Read a Sonora Bobcat file: two lines of header, then micron and erg s⁻¹ cm⁻² Hz⁻¹."""
    with _open_text(path) as file:
        columns = np.loadtxt(file, skiprows=2, usecols=(0, 1), ndmin=2)
    wavelength = columns[:, 0] * ANGSTROM_PER_MICRON
    return wavelength, columns[:, 1] * SPEED_OF_LIGHT_ANGSTROM * ANGSTROM_PER_CM / wavelength**2


def read_cooltlusty(path):
    """Read a coolTLUSTY file: the columns LAMBDA(mic) and FLAM (per Å)."""
    with _open_text(path) as file:
        names = file.readline().split()
        rows = [line.split() for line in file if line.strip()]
    try:
        columns = [names.index(name) for name in ("LAMBDA(mic)", "FLAM")]
    except ValueError:
        raise ValueError(f"it has no columns LAMBDA(mic) and FLAM, only {names[:8]}") from None
    wavelength, flux = (_numbers([row[column] for row in rows]) for column in columns)
    return wavelength * ANGSTROM_PER_MICRON, flux * ANGSTROM_PER_CM


def read_bosz(path):
    """Read a BOSZ file of 2024: H and continuum; wavelengths are in it or in a separate file."""
    with _open_text(path) as file:
        columns = np.loadtxt(file, ndmin=2)
    if columns.shape[1] >= 3:
        wavelength, moment = columns[:, 0], columns[:, 1]
    else:
        moment = columns[:, 0]
        wavelength = _bosz_wavelength(path)
        if len(wavelength) != len(moment):
            raise ValueError(
                f"it has {len(moment)} pixels, but spectra of its resolution have "
                f"{len(wavelength)}: it is cut short"
            )
    return wavelength, 4.0 * np.pi * moment * ANGSTROM_PER_CM


def _bosz_wavelength(path):
    """Wavelengths for the resolution of a file, from its folder or one above."""
    resolution = re.search(r"_(r\d+)_resam", Path(path).name)
    if resolution is None:
        raise ValueError("it has neither a column of wavelengths nor a resolution in its name")
    name = f"bosz2024_wave_{resolution[1]}.txt"
    for folder in Path(path).absolute().parents[:4]:
        for place in (folder, folder / "wavelength_grids"):
            candidate = find_file(place, name)
            if candidate is not None:
                return read_bosz_axis(candidate)
    raise FileNotFoundError(
        f"there is no {name} in the folder of {Path(path).name} or above: it is needed for "
        f"spectra of this resolution."
    )


def read_bosz_axis(path):
    """Read wavelengths in Å, once for all files; raise ValueError if they are damaged."""
    stat = os.stat(path)
    return _bosz_axis(str(path), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _bosz_axis(path, _changed, _size):
    """Read wavelengths; date and size of the file are part of the key of the cache."""
    with _open_text(path) as file:
        wavelength = np.loadtxt(file, ndmin=1)
    wavelength.flags.writeable = False
    return wavelength


def bosz_path(parameters):
    """Return the path of a file of resolution 50,000 on the server, below ``bosz2024``.

    Parameters
    ----------
    parameters : dict
        ``teff``, ``logg``, ``feh``, ``alpha``, ``carbon``, ``microturbulence``.

    Returns
    -------
    str
        Path with ``/`` between folders.

    Examples
    --------
    >>> from skphx.datasets._other_layouts import bosz_path
    >>> bosz_path(dict(teff=5000, logg=4.5, feh=0, alpha=0, carbon=0, microturbulence=2))
    'r50000/m+0.00/bosz2024_mp_t5000_g+4.5_m+0.00_a+0.00_c+0.00_v2_r50000_resam.txt.gz'
    """
    # Model atmospheres: MARCS below 8000 K, spherical (ms) for giants, and ATLAS9 (ap) above.
    kind = "ap" if parameters["teff"] > 7750 else "mp" if parameters["logg"] > 3.0 else "ms"
    feh = f"m{parameters['feh'] + 0.0:+.2f}"
    return (
        f"r50000/{feh}/bosz2024_{kind}_t{parameters['teff']:.0f}_g{parameters['logg']:+.1f}_{feh}"
        f"_a{parameters['alpha'] + 0.0:+.2f}_c{parameters['carbon'] + 0.0:+.2f}"
        f"_v{parameters['microturbulence']:.0f}_r50000_resam.txt.gz"
    )


def read_atlas9(path):
    """Read a table of the Castelli & Kurucz atlas: a column g00, g05, ... for each log g.

    Columns of zeros, for models that do not exist, are ignored.
    """
    from skphx.datasets._fits import open_fits

    with open_fits(path) as hdus:
        tables = [hdu for hdu in hdus if hasattr(hdu, "columns")]
        if not tables:
            raise ValueError("it holds no table")
        table = tables[0]
        columns = {
            column.name.lower(): np.array(table.data[column.name], dtype=np.float64)
            for column in table.columns
        }
    if "wavelength" not in columns:
        raise ValueError(f"it has no column WAVELENGTH, only {sorted(columns)}")
    wavelength = columns["wavelength"]
    return [
        ({"logg": int(name[1:]) / 10.0}, wavelength, flux * ANGSTROM_PER_CM)
        for name, flux in columns.items()
        if re.fullmatch(r"g\d\d", name) and flux.any()
    ]


def _signed_tenths(text):
    """Convert a metallicity ``m05`` or ``p05`` to -0.5 or 0.5."""
    return (-1.0 if text[0] == "m" else 1.0) * float(text[1:]) / 10.0


def _log_of_mks(text):
    """Convert a gravity in m s⁻² to log g in cgs; file names are rounded to 0.25 dex."""
    return round(4.0 * np.log10(100.0 * float(text))) / 4.0


_SIGNED = r"[-+]\d+\.\d+"

LAYOUTS = (
    GridLayout(
        name="bt-settl",
        title="BT-Settl",
        reference="Allard, F., Homeier, D. & Freytag, B. (2012), Phil. Trans. R. Soc. A 370, 2765",
        pattern=r"lte(?P<teff>\d{3}(?:\.\d)?)-(?P<logg>\d\.\d)(?P<feh>[-+]\d\.\d)"
        r"a(?P<alpha>[-+]\d\.\d)\.BT-Settl\.spec\.7",
        convert={"teff": lambda text: 100.0 * float(text)},
        read=read_bt_settl,
    ),
    GridLayout(
        name="sonora-bobcat",
        title="Sonora Bobcat",
        reference="Marley, M. S. et al. (2021), ApJ 920, 85, doi:10.3847/1538-4357/ac141d",
        pattern=r"sp_t(?P<teff>\d+)g(?P<logg>\d+)nc_m(?P<feh>[-+]?\d\.\d)",
        convert={"logg": _log_of_mks},
        read=read_sonora_bobcat,
    ),
    GridLayout(
        name="cooltlusty",
        title="coolTLUSTY",
        reference="Lacy, B. & Burrows, A. (2023), ApJ 950, 8, doi:10.3847/1538-4357/acc8cb",
        pattern=r"T(?P<teff>\d+)_g(?P<logg>\d\.\d+)_Z(?P<feh>\d\.\d+)(?:_CDIFF[\de]+)?\.21",
        # The metallicity in the file name is linear.
        convert={"feh": lambda text: round(np.log10(float(text)), 2)},
        read=read_cooltlusty,
    ),
    GridLayout(
        name="bosz",
        title="BOSZ (2024)",
        reference="Mészáros, Sz. et al. (2024), A&A 688, A197; Bohlin, R. C. et al. (2017), AJ "
        "153, 234",
        pattern=rf"bosz2024_\w\w_t(?P<teff>\d+)_g(?P<logg>[-+]\d+\.\d)_m(?P<feh>{_SIGNED})"
        rf"_a(?P<alpha>{_SIGNED})_c(?P<carbon>{_SIGNED})_v(?P<microturbulence>\d+)"
        rf"_r(?:\d+_resam|orig_noresam)\.txt",
        defaults={"alpha": 0.0, "carbon": 0.0, "microturbulence": 2.0},
        read=read_bosz,
        medium="air",
        axes={
            "teff": (
                *range(2800, 4001, 100), *range(4250, 12001, 250), *range(12500, 16001, 500),
            ),
            "logg": tuple(np.arange(-0.5, 5.51, 0.5).tolist()),
            "feh": tuple(np.arange(-2.5, 0.76, 0.25).tolist()),
            "alpha": (-0.25, 0.0, 0.25, 0.5),
            "carbon": tuple(np.arange(-0.75, 0.51, 0.25).tolist()),
            "microturbulence": (0, 1, 2, 4),
        },
        path=bosz_path,
        extra_files=("wavelength_grids/bosz2024_wave_r50000.txt",),
        check_extra=read_bosz_axis,
        url="https://archive.stsci.edu/hlsps/bosz/bosz2024",
        max_bytes=256 << 20,
    ),
    GridLayout(
        name="atlas9",
        title="ATLAS9, Castelli & Kurucz (2004), and Kurucz (1993)",
        reference="Castelli, F. & Kurucz, R. L. (2003), IAU Symposium 210, A20",
        pattern=r"c?k(?P<feh>[mp]\d\d)_(?P<teff>\d{4,5})\.fits",
        convert={"feh": _signed_tenths},
        read=read_atlas9,
    ),
)  # fmt: skip
