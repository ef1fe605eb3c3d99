"""Save fitted estimators to files, and load them without running code from the file.

A model file is a zip archive of arrays and plain values, as skops writes it. It has one more
member, ``provenance.json``, which describes the model and its data, and can be read without
loading the model.
"""

import io
import json
import os
import zipfile
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Memory
from sklearn.base import BaseEstimator

from skphx._atomic_write import write_atomically
from skphx._domain import PARAMETER_UNITS, check_file, plain_wavelength
from skphx._input_parameters import parameter_value
from skphx._paths import as_path, whole_file
from skphx._plain import in_unit, refuse_masked, unit_of
from skphx._version import __version__

_PROVENANCE = "provenance.json"
_FORMAT = "skphx model"
_VERSION = 1


def save_model(
    path: str | os.PathLike[str],
    estimator: BaseEstimator,
    *,
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Save a fitted estimator to a file that :func:`load_model` reads without running code.

    Parameters
    ----------
    path : path
        File to write, ending in ``.skops``; an existing file is replaced.
    estimator : estimator
        An estimator of skphx, or a scikit-learn Pipeline of them. Parameters of the constructor
        that are Quantities are saved as numbers in the units of skphx, wavelengths in Å;
        Series, tables, paths and caches as arrays, lists and text. The estimator itself is not
        changed.
    provenance : dict or None
        Where the data of the model come from, such as ``grid.provenance``; values must be
        valid in JSON. The version of skphx, the date and the estimator's settings are added.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    LocalFileError
        If the file cannot be written; an existing file is then unchanged.
    ValueError
        If the name of the file does not end in ``.skops``, a parameter has a unit that skphx
        does not know, or the model holds a function or an object of another package.

    See Also
    --------
    load_model : Loads the file.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from skphx import PercentileNormalizer, load_model, save_model
    >>> normalizer = PercentileNormalizer(percentile=90).fit(np.ones((2, 5)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_model(os.path.join(folder, "model.skops"), normalizer)
    ...     load_model(path)
    PercentileNormalizer(percentile=90)
    """
    import skops.io

    path = as_path(path)
    if path.suffix != ".skops":
        raise ValueError(f"path must end in .skops, got {path.name!r}; rename the file.")
    with _plain_settings(estimator), _without_callbacks(estimator):
        saved = skops.io.dumps(estimator)
    foreign = _foreign_types(skops.io.get_untrusted_types(data=saved))
    if foreign:
        raise ValueError(
            f"the model holds {', '.join(foreign)}, which is not part of skphx and which "
            f"load_model would refuse, such as a function resolution= of an observation model; "
            f"replace it, and give it to infer instead."
        )
    content = io.BytesIO(saved)
    described = {
        "format": _FORMAT,
        "version": _VERSION,
        "skphx": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "estimator": type(estimator).__name__,
        **_fitted_on(estimator),
        "settings": _settings(estimator),
        "made_of": provenance or {},
    }
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(_PROVENANCE, json.dumps(described, indent=1, default=str))
    write_atomically(path, lambda file: file.write(content.getbuffer()))
    return path


def load_model(path: str | os.PathLike[str]) -> Any:
    """Load a fitted estimator that :func:`save_model` wrote.

    Only objects of skphx, scikit-learn, NumPy and SciPy are created, and only their attributes
    are set. A file that contains anything else is refused.

    Parameters
    ----------
    path : path
        The file, which may be compressed.

    Returns
    -------
    estimator
        The saved estimator.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is not a model file, is damaged, or contains objects that are not trusted.

    Examples
    --------
    See :func:`save_model`.
    """
    import skops.io

    path = check_file(path)
    read_provenance(path)
    stored = whole_file(path)
    try:
        untrusted = skops.io.get_untrusted_types(file=stored)
    except Exception as error:  # skops raises many types for damaged files
        raise ValueError(_damaged(path, error)) from error
    foreign = _foreign_types(untrusted)
    if foreign:
        raise ValueError(
            f"{path.name} contains {', '.join(foreign)}, which is not part of skphx, and is not "
            f"loaded, because it could run any code. Do not trust the source of this file."
        )
    try:
        return skops.io.load(stored, trusted=untrusted)
    except Exception as error:
        raise ValueError(_damaged(path, error)) from error


def read_provenance(path):
    """Read the description of a model file without loading the model.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict
        ``skphx``, ``created``, ``estimator``, ``settings``, ``made_of`` and others.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is not a model file, or has a later version of the format.
    """
    path = check_file(path)
    try:
        with zipfile.ZipFile(whole_file(path)) as archive:
            provenance = json.loads(archive.read(_PROVENANCE))
        if provenance["format"] != _FORMAT:
            raise ValueError(f"its format is {provenance['format']!r}")
        version = int(provenance["version"])
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, EOFError, OSError) as error:
        raise ValueError(
            f"{path.name} is not a model file of skphx ({error}); build the model again."
        ) from error
    if version > _VERSION:
        raise ValueError(
            f"{path.name} has version {version} of the format, and this version of skphx reads "
            f"versions up to {_VERSION}; update skphx."
        )
    return provenance


@contextmanager
def _without_callbacks(estimator):
    """Take scikit-learn's callbacks off for a while: they are of a session, not of a model."""
    taken = {}
    for one in _estimators_in(estimator, set()):
        if "_skl_callbacks" in vars(one):
            taken[id(one)] = one, vars(one).pop("_skl_callbacks")
    try:
        yield
    finally:
        for one, callbacks in taken.values():
            one._skl_callbacks = callbacks


@contextmanager
def _plain_settings(estimator):
    """Replace parameters that a model file cannot hold, such as Quantities, for a while."""
    replaced = []
    try:
        for one in list(_estimators_in(estimator, set())):
            for name in one.get_params(deep=False):
                value = vars(one).get(name)
                plain = _plain(value, name)
                if plain is not value:
                    replaced.append((one, name, value))
                    setattr(one, name, plain)
        yield
    finally:
        for one, name, value in reversed(replaced):
            setattr(one, name, value)


def _plain(value, name):
    """Return a parameter as a number, array, list or text, if it is another kind of these."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Memory):
        return None if value.location is None else os.fspath(value.location)
    if isinstance(value, dict):  # bounds by name
        plain = {key: _plain(one, key) for key, one in value.items()}
        return value if all(plain[key] is value[key] for key in value) else plain
    if unit_of(value) is not None:
        return _without_unit(value, name)
    if isinstance(value, np.ma.MaskedArray):
        refuse_masked(value, name)
        return np.asarray(value)
    if type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "to_numpy"):
        value = value.to_numpy()
        return value.tolist() if value.dtype.kind in "OU" else value
    if isinstance(value, np.ndarray) and type(value) is not np.ndarray:
        return np.asarray(value)
    return value


def _without_unit(value, name):
    """Return a Quantity as plain numbers in the unit that skphx uses."""
    if name in PARAMETER_UNITS:
        number = parameter_value(value, name)
        return _scalar(number) if isinstance(number, np.ndarray) else number
    for unit in ("Angstrom", "", "K", "km / s"):
        if unit_of(value).is_equivalent(unit):
            if unit == "Angstrom":
                return plain_wavelength(value, name)
            number = in_unit(value, unit, name)
            return tuple(number.tolist()) if isinstance(value, tuple) else _scalar(number)
    raise ValueError(
        f"{name} has the unit {unit_of(value)}, which a model file cannot hold; set it to plain "
        f"numbers."
    )


def _scalar(number):
    """Return an array without axes as a number."""
    return number.item() if number.ndim == 0 else number


def _estimators_in(thing, seen):
    """Yield an estimator and those that it holds, also in lists of steps."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, list | tuple):
        held = list(thing)
    elif isinstance(thing, BaseEstimator):
        yield thing
        held = list(vars(thing).values())
    else:
        return
    for one in held:
        yield from _estimators_in(one, seen)


def _foreign_types(untrusted):
    """Return the names of the classes and functions that are not those of skphx."""
    return [name for name in untrusted if not _is_class_of_ours(name)]


def _is_class_of_ours(name):
    """Whether a dotted name is a class defined in skphx."""
    module, _, attribute = name.rpartition(".")
    if not (module == "skphx" or module.startswith("skphx.")):
        return False
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError):
        return False
    return isinstance(found, type) and found.__module__ == module


def _fitted_on(estimator):
    """Wavelengths and nodes of a fitted emulator, as values of JSON."""
    emulator = getattr(estimator, "emulator_", estimator)
    emulator = getattr(emulator, "estimator", emulator)  # of a FrozenEstimator
    facts: dict[str, Any] = {}
    if hasattr(emulator, "wavelength_"):
        wavelength = emulator.wavelength_
        facts["wavelength"] = {
            "low": float(wavelength[0]),
            "high": float(wavelength[-1]),
            "n_pixels": len(wavelength),
        }
    if hasattr(emulator, "grid_"):
        grid = emulator.grid_
        facts["parameters"] = {
            name: [float(edge) for edge in edges]
            for name, edges in zip(grid.parameter_names, grid.bounds, strict=True)
        }
    if hasattr(emulator, "present_"):
        facts["n_nodes"], facts["n_lines"] = (int(size) for size in emulator.present_.shape)
    return facts


def _settings(estimator):
    """Return the settings that are numbers, strings, booleans or None, by their full names."""
    plain = (bool, int, float, str, type(None))
    return {
        name: value
        for name, value in estimator.get_params(deep=True).items()
        if isinstance(value, plain)
    }


def _damaged(path, error):
    return (
        f"{path.name} is damaged, or was written by another version of skphx "
        f"({type(error).__name__}: {error}); build the model again."
    )
