"""``skphx info``: describe files and their provenance."""

import argparse
import json
import zipfile

import numpy as np

from skphx._paths import as_path, plain_name, whole_file
from skphx._persistence import read_provenance
from skphx.cli._emulate import read_archive_provenance
from skphx.cli._parser import add_command
from skphx.cli._reading import is_hdf5, read_grid
from skphx.cli._spectrum_options import add_spectrum_options, read_spectrum

_DESCRIPTION = """\
Describe files and their provenance: grids, archives of lines, models, state dictionaries of lines,
folders of downloads, and observed spectra. No code in a file is run.

  skphx info model.skops
  skphx info grid.lines"""


def add_parsers(commands):
    """Add the command to the parser."""
    parser = add_command(commands, "info", run, "describe a file and its provenance", _DESCRIPTION)
    parser.add_argument("files", metavar="FILE", nargs="+", help="files or folders")
    add_spectrum_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the description of each file."""
    for number, file in enumerate(arguments.files):
        if number:
            print()
        print(describe(file, arguments))


def describe(file, arguments):
    """Return the description of a file.

    Parameters
    ----------
    file : path
        A file or folder that skphx can read.
    arguments : argparse.Namespace
        Options of `add_spectrum_options`.

    Returns
    -------
    str
        The description.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the type of the file is unknown, or the file is damaged.
    """
    path = as_path(file)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}: check the path.")
    if path.is_dir():
        return _describe_folder(path)
    name = plain_name(path)
    if name.endswith(".skops"):
        return f"Model {path.name}\n{_listed(read_provenance(path))}"
    if name.endswith(".pt"):
        from skphx.paper import read_state_dicts

        return _describe_lines(path, read_state_dicts)
    if is_hdf5(path) or (name.endswith(".npz") or zipfile.is_zipfile(path)):
        return _describe_arrays(path, arguments.medium)
    return read_spectrum(path, arguments).DESCR


def _describe_folder(path):
    manifest = path / "manifest.json"
    if not manifest.is_file():
        raise ValueError(
            f"{path} is a folder without a manifest.json: it was not written by skphx."
        )
    try:
        content = json.loads(manifest.read_bytes())
    except ValueError as error:
        raise ValueError(f"{manifest} is damaged: {error}.") from error
    if isinstance(content, dict) and "files" in content:
        n_bytes = sum(entry["bytes"] for entry in content["files"].values())
        return (
            f"Folder of downloads {path}\n"
            f"  {len(content['files'])} files, {n_bytes / 1e6:.1f} MB; "
            f"{len(content['missing'])} not on the server"
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
                f"  lines per node: {quality['n_lines'].min()} to {quality['n_lines'].max()}",
                f"  fit residual, rms: median {np.median(quality['rms']):.5f}, largest "
                f"{quality['rms'].max():.5f}",
            ]
    shown = dict(archive.manifest)
    spectra = (shown.pop("fingerprint") or {}).get("spectra")
    if spectra is not None:
        shown["n_spectra"] = len(spectra)
    shown["made_of"] = read_archive_provenance(path) or "unknown, not written by skphx fit-lines"
    return "\n".join([*lines, _listed(shown)])


def _describe_arrays(path, medium):
    """Describe a grid, or a table of lines."""
    is_known = True
    if not is_hdf5(path):
        with np.load(whole_file(path), allow_pickle=False) as file:
            if "offsets" in file.files and "center" in file.files:
                from skphx.lines import LineTable

                return _describe_lines(path, LineTable.load)
            is_known = medium is not None or "medium" in file.files
    # A file without a medium is read with any.
    grid = read_grid(path, medium if is_known else "vacuum")
    lines = [f"Grid {path.name}", grid.DESCR.split("\n", 3)[3].rstrip()]
    if not is_known:
        lines[1] = lines[1].replace("(vacuum)", "(medium unknown)")
    for name, column in zip(grid.parameter_names, grid.parameters.T, strict=True):
        values = np.unique(column)
        lines.append(f"  {name}: {len(values)} values, {values[0]:g} to {values[-1]:g}")
    return "\n".join([*lines, _listed(grid.provenance)])


def _describe_lines(path, read):
    return f"Lines {path.name}\n  {read(path)!r}"


def _listed(content, indent="  "):
    """Write a dict as indented lines; long lists are abbreviated."""
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
