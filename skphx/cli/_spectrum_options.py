"""Options of commands that read observed spectra: the arguments of load_spectrum."""

from skphx._domain import MEDIA
from skphx.cli._parser import axis_values
from skphx.datasets import load_spectrum

_ARRAYS = {
    "wavelength": "the wavelengths",
    "flux": "the flux",
    "sigma": "the standard errors",
    "variance": "the variances",
    "ivar": "the inverse variances",
    "mask": "the mask of bad pixels",
}
_NAMES = (
    "medium", "wavelength_unit", "resolution", "barycentric", "sky_factor", *_ARRAYS, "mask_good",
    "hdu", "row", "format",
)  # fmt: skip


def add_spectrum_options(parser):
    """Add the arguments of load_spectrum as options, which hold for all files of a command."""
    group = parser.add_argument_group(
        "spectra", "What the files do not state, or state wrongly. It holds for all of them."
    )
    group.add_argument("--medium", choices=MEDIA, help="medium of the wavelengths")
    group.add_argument(
        "--wavelength-unit", metavar="UNIT", help="such as Angstrom, nm, 'log10(Angstrom)'"
    )
    group.add_argument(
        "--resolution",
        type=axis_values,
        metavar="R",
        help="λ/FWHM, or LOW:HIGH to fit it; without it the model is not broadened",
    )
    group.add_argument(
        "--barycentric", action="store_true", help="convert wavelengths to the barycentre"
    )
    group.add_argument(
        "--sky-factor",
        type=float,
        default=0.0,
        metavar="F",
        help="subtract the sky of HPF times this factor (0)",
    )
    group = parser.add_argument_group(
        "arrays of the files",
        "Name, or number from 0, of a column, or of an extension of FITS images.",
    )
    for name, text in _ARRAYS.items():
        group.add_argument(f"--{name}", type=_name_or_number, metavar="ARRAY", help=text)
    group.add_argument(
        "--mask-good", type=int, choices=(0, 1), help="value of good pixels in the mask"
    )
    group.add_argument(
        "--hdu", type=_name_or_number, metavar="HDU", help="HDU of the flux, or table of a VOTable"
    )
    group.add_argument(
        "--row", type=int, metavar="N", help="number of the spectrum, from 0, if there are several"
    )
    group.add_argument("--format", metavar="NAME", help="read by specutils as this format")


def read_spectrum(path, arguments):
    """Load the spectrum of a file with the options of the command: Bunch."""
    settings = {name: getattr(arguments, name) for name in _NAMES}
    if fitted_resolution(arguments) != "default":
        settings["resolution"] = None
    return load_spectrum(path, **settings)


def fitted_resolution(arguments):
    """Return the range in which the resolution is fitted; "default" if it is not fitted."""
    given = arguments.resolution
    if isinstance(given, list):
        raise ValueError("--resolution must be a number or a range LOW:HIGH.")
    return given if isinstance(given, tuple) else "default"


def _name_or_number(text):
    """Convert the text to a number if it is one."""
    try:
        return int(text)
    except ValueError:
        return text
