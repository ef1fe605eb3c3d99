"""``skphx info``: what a file is, and what it was made of."""

import json
import zipfile
from pathlib import Path

import numpy as np

from skphx._model_files import read_provenance
from skphx.cli._emulate import read_archive_provenance
from skphx.cli._grid_files import read_grid
from skphx.cli._parser import add_command
from skphx.datasets import load_spectrum

_DESCRIPTION = """\
Say what a file is, and what it was made of: grids, archives of lines, models, state dictionaries
of lines, folders of downloads, observed spectra. Nothing in a file is run.

  skphx info model.skops
  skphx info grid.lines"""

_HDF5 = (".h5", ".hdf5")


def add_parsers(commands):
    """Add the command to the parser."""
    parser = add_command(
        commands, "info", run, "say what a file is and what it was made of", _DESCRIPTION
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="files or folders")
    parser.add_argument("--medium", choices=("air", "vacuum"), help="of spectra that do not say")
    parser.add_argument("--wavelength-unit", metavar="UNIT", help="of spectra that do not say")


def run(arguments):
    """Print what each file is."""
    for number, file in enumerate(arguments.files):
        if number:
            print()
        print(describe(file, arguments.medium, arguments.wavelength_unit))


def describe(file, medium=None, wavelength_unit=None):
    """Say what a file is.

    Parameters
    ----------
    file : path
        A file or folder of any kind that skphx reads.
    medium, wavelength_unit
        Of observed spectra that do not say.

    Returns
    -------
    str
        Some lines.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    ValueError
        If it is of no kind that is known, or damaged.
    """
    path = Path(file)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}: check the path.")
    if path.is_dir():
        return _describe_folder(path)
    if path.suffix == ".skops":
        return f"Model {path.name}\n{_listed(read_provenance(path))}"
    if path.suffix == ".pt":
        return _describe_lines(path, "from_state_dict")
    if path.suffix in _HDF5 or zipfile.is_zipfile(path):
        return _describe_arrays(path, medium)
    return load_spectrum(path, medium=medium, wavelength_unit=wavelength_unit).DESCR


def _describe_folder(path):
    manifest = path / "manifest.json"
    if not manifest.is_file():
        raise ValueError(f"{path} is a folder without a manifest.json: nothing that skphx wrote.")
    try:
        content = json.loads(manifest.read_bytes())
    except ValueError as error:
        raise ValueError(f"{manifest} is damaged: {error}.") from error
    if isinstance(content, dict) and "files" in content:
        n_bytes = sum(entry["bytes"] for entry in content["files"].values())
        return (
            f"Downloads {path}\n"
            f"  {len(content['files'])} files, {n_bytes / 1e6:.1f} MB; "
            f"{len(content['missing'])} that the server did not have"
        )
    from skphx.lines import LineArchive

    archive = LineArchive(path)
    lines = [f"Archive of lines {path}"]
    if archive.has_pass:
        done = archive.done
        quality = archive.quality()
        lines += [f"  nodes fitted: {done.sum()} of {len(done)}"]
        if len(quality):
            lines += [
                f"  lines a node: {quality['n_lines'].min()} to {quality['n_lines'].max()}",
                f"  rms of clone minus flux: median {np.median(quality['rms']):.5f}, worst "
                f"{quality['rms'].max():.5f}",
            ]
    shown = dict(archive.manifest)
    spectra = (shown.pop("fingerprint") or {}).get("spectra")
    if spectra is not None:
        shown["n_spectra"] = len(spectra)
    shown["made_of"] = read_archive_provenance(path) or "not said: not made by skphx clone"
    return "\n".join([*lines, _listed(shown)])


def _describe_arrays(path, medium):
    """Describe a grid, or a table of lines."""
    if path.suffix not in _HDF5:
        with np.load(path, allow_pickle=False) as file:
            if "offsets" in file.files and "center" in file.files:
                return _describe_lines(path, "load")
            said = "medium" in file.files
        # What a file is can be told without its medium.
        medium = medium if said or medium else "vacuum"
    grid = read_grid(path, medium)
    lines = [f"Grid {path.name}", grid.DESCR.split("\n", 3)[3].rstrip()]
    if path.suffix not in _HDF5 and not said:
        lines[1] = lines[1].replace(f"({medium})", "(medium not said)")
    for name, column in zip(grid.parameter_names, grid.parameters.T, strict=True):
        values = np.unique(column)
        lines.append(f"  {name}: {len(values)} values, {values[0]:g} to {values[-1]:g}")
    return "\n".join([*lines, _listed(grid.provenance)])


def _describe_lines(path, reader):
    from skphx.lines import LineTable

    return f"Lines {path.name}\n  {getattr(LineTable, reader)(path)!r}"


def _listed(content, indent="  "):
    """Write a dict as indented lines; long lists are cut."""
    lines = []
    for name, value in content.items():
        if isinstance(value, dict):
            if len(value) > 40:
                lines.append(f"{indent}{name}: {len(value)} entries")
                continue
            lines += [f"{indent}{name}:", _listed(value, indent + "  ")]
        elif isinstance(value, list) and len(value) > 12:
            lines.append(f"{indent}{name}: {len(value)} values, {value[0]} to {value[-1]}")
        else:
            lines.append(f"{indent}{name}: {value}")
    return "\n".join(line for line in lines if line)
