"""Lines in the files of blase: state dictionaries of torch, one a spectrum.

blase's name               here
=========================  ====================================
``lam_centers``            `center`, Å, before the velocity
``amplitudes``             `log_area`, ln of the area in Å
``sigma_widths``           `log_sigma`, ln Å
``gamma_widths``           `log_gamma`, ln Å
``radial_velocity``        moves the centres, km/s
``pre_line_centers``       centres as detected: equal ones are
                           the same line
=========================  ====================================

References
----------
Gully-Santiago & Morley 2022, ApJ 941, 200.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skphx._atomic_write import make_folder, write_atomically
from skphx._domain import SPEED_OF_LIGHT, check_file
from skphx._paths import as_path, plain_name, whole_file
from skphx.lines import LineTable
from skphx.paper._extra import needed_for

_NAMES = {
    "center": "lam_centers",
    "log_area": "amplitudes",
    "log_sigma": "sigma_widths",
    "log_gamma": "gamma_widths",
}
# blase multiplies the continuum by a + b x + c x² and moves lines by the velocity.
_TRIVIAL = {"a_coeff": 1.0, "b_coeff": 0.0, "c_coeff": 0.0, "radial_velocity": 0.0}


def read_state_dicts(sources: Any) -> LineTable:
    """Read lines from state dictionaries as blase and the paper publish them.

    Parameters
    ----------
    sources : dict, path, or list of these
        State dictionaries, or ``.pt`` files that hold one, one a spectrum; or a folder of such
        files, taken in the order of their names. Files may be compressed. They hold
        ``lam_centers`` (Å), ``amplitudes``
        (ln of the area), ``sigma_widths`` (ln σ), ``gamma_widths`` (ln γ), and optionally
        ``radial_velocity`` (km/s), which moves the centres, and ``pre_line_centers``, the
        centres as detected: lines of equal ones get equal identities.

    Returns
    -------
    LineTable
        One spectrum for each dictionary. Render with ``profile="blase"`` and
        ``transmission="product"`` to see them as they were trained. ``LineArchive.from_table``
        makes an archive of it, ``PaperEmulator.fit_table`` an emulator.

    Raises
    ------
    FileNotFoundError
        If a folder holds no ``.pt`` file, or a file does not exist.
    ValueError
        If an entry is missing, or a file holds anything but tensors and plain numbers.
    ImportError
        If torch is not installed and a file is to be read.

    Examples
    --------
    >>> from skphx.paper import read_state_dicts
    >>> state = {"lam_centers": [5000.0], "amplitudes": [-2.0], "sigma_widths": [-3.0],
    ...          "gamma_widths": [-3.0], "radial_velocity": 29.98}
    >>> read_state_dicts(state).center.round(2)
    array([5000.5])
    """
    if isinstance(sources, str | PathLike) and as_path(sources).is_dir():
        folder = as_path(sources)
        files = sorted(path for path in folder.iterdir() if path.is_file())
        sources = [path for path in files if plain_name(path).endswith(".pt")]
        if not sources:
            found = ", ".join(path.name for path in files[:3]) or "nothing"
            raise FileNotFoundError(
                f"sources: there is no .pt file in {folder}, which holds {found}."
            )
    if isinstance(sources, Mapping | str | PathLike):
        sources = [sources]
    return LineTable.concatenate(_read_one(source) for source in sources)


def save_state_dicts(
    table: LineTable,
    folder: str | PathLike,
    line_centers: ArrayLike | None = None,
    *,
    numbers: Sequence[int] | None = None,
) -> list[Path]:
    """Write lines as state dictionaries of blase, one ``.pt`` file a spectrum.

    Parameters
    ----------
    table : LineTable
        The lines.
    folder : path
        Where to write ``node_00000.pt``, ...; made where it is missing.
    line_centers : array-like of shape (n_lines,), optional
        Common centre (Å) of each line of the list that `identity` counts in, such as
        ``PaperCloner.line_centers_``. It is written as ``pre_line_centers``, by which blase,
        and :func:`read_state_dicts`, know the same line in other files.
    numbers : sequence of int, optional
        Numbers in the names of the files; None counts from 0.

    Returns
    -------
    list of pathlib.Path
        The files, in the order of the spectra.

    Raises
    ------
    ImportError
        If torch is not installed.
    LocalFileError
        If the folder or a file cannot be written.
    """
    with needed_for("writing files of blase"):
        import torch
    place = make_folder(as_path(folder))
    paths = []
    for number, one in zip(numbers or range(len(table)), table, strict=True):
        state = {name: torch.as_tensor(value) for name, value in _to_state_dict(one).items()}
        if line_centers is not None:
            state["pre_line_centers"] = torch.as_tensor(np.asarray(line_centers)[one.identity])
        paths.append(place / f"node_{number:05d}.pt")
        write_atomically(paths[-1], lambda file, state=state: torch.save(state, file))
    return paths


def _to_state_dict(one):
    """Lines of one spectrum under blase's names, float64."""
    state = {blase: getattr(one, name) for name, blase in _NAMES.items()}
    return state | {name: np.float64(value) for name, value in _TRIVIAL.items()}


def _read_one(source):
    """Read the lines of one spectrum."""
    if isinstance(source, str | PathLike):
        source = _load(source)
    missing = sorted(set(_NAMES.values()) - set(source))
    if missing:
        raise ValueError(
            f"the state dictionary lacks {missing}; it holds {sorted(source)}. Pass one that "
            f"blase saved."
        )
    columns = {name: _to_numpy(source[blase]) for name, blase in _NAMES.items()}
    velocity = float(source.get("radial_velocity", 0.0))
    columns["center"] = columns["center"] * (1.0 + velocity / SPEED_OF_LIGHT)
    identity = None
    if "pre_line_centers" in source:
        # The bits of a positive float32 as a whole number: equal exactly where the detected
        # centres are, and in the same order.
        detected = _to_numpy(source["pre_line_centers"]).astype(np.float32)
        identity = detected.view(np.int32).astype(np.int64)
    return LineTable(offsets=np.array([0, len(columns["center"])]), identity=identity, **columns)


def _to_numpy(value):
    """Return a tensor or array as a float64 array on the host."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value, dtype=np.float64)


def _load(path):
    """Read a ``.pt`` file without running any code that it may hold."""
    with needed_for("reading files of blase"):
        import torch
    path = check_file(path)
    try:
        state = torch.load(whole_file(path), map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than tensors and plain numbers, so reading it would run code from "
            f"the file; save its state dictionary (model.state_dict()) and read that."
        ) from error
    if not isinstance(state, dict):
        raise ValueError(
            f"{path} holds a {type(state).__name__}, not a state dictionary; save "
            f"model.state_dict()."
        )
    return state
