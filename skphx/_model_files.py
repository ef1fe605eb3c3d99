"""Fitted estimators in files that run no code when they are read, with their provenance.

A model file is a zip archive as skops writes it, arrays and plain values, with one more member:
``provenance.json``, which says what the model was made of and can be read without the model.
"""

import io
import json
import zipfile
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from skphx._files import write_atomically
from skphx._version import __version__

_PROVENANCE = "provenance.json"
_FORMAT = "skphx model"
_VERSION = 1


def save_model(path, estimator, *, provenance=None):
    """Save a fitted estimator to a file that :func:`load_model` reads without running code.

    Parameters
    ----------
    path : path
        File to write, ending in ``.skops``; one that exists is replaced.
    estimator : estimator
        Any of skphx's, or a scikit-learn Pipeline of them.
    provenance : dict or None
        What it was made of, such as ``grid.provenance``; plain values that JSON can hold. The
        version of skphx, the date and the estimator's settings are added.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    LocalFileError
        If it cannot be written; what stood in its place before still does.
    ValueError
        If the name ends otherwise.

    See Also
    --------
    load_model : reads it.

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

    path = Path(path)
    if path.suffix != ".skops":
        raise ValueError(f"path must end in .skops, got {path.name!r}; rename the file.")
    content = io.BytesIO(skops.io.dumps(estimator))
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


def load_model(path):
    """Load a fitted estimator that :func:`save_model` wrote.

    Nothing but classes of skphx, scikit-learn and NumPy is built, and none of their code runs
    but what sets their attributes: a file that asks for anything else is refused.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    estimator
        As it was saved.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no model file, damaged, or asks for what is not trusted.

    Examples
    --------
    See :func:`save_model`.
    """
    import skops.io

    path = Path(path)
    read_provenance(path)
    try:
        asked = skops.io.get_untrusted_types(file=path)
    except Exception as error:  # skops meets damage in many ways
        raise ValueError(_damaged(path, error)) from error
    foreign = [name for name in asked if not _is_class_of_ours(name)]
    if foreign:
        raise ValueError(
            f"{path.name} asks for {', '.join(foreign)}, which is no part of skphx: it is not "
            f"loaded, because it could run any code. Do not trust where it came from."
        )
    try:
        return skops.io.load(path, trusted=asked)
    except Exception as error:
        raise ValueError(_damaged(path, error)) from error


def read_provenance(path):
    """Read what a model file says about itself, without the model.

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
        If there is no such file.
    ValueError
        If it is no model file, or of a later version of the format.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check the path.")
    try:
        with zipfile.ZipFile(path) as archive:
            provenance = json.loads(archive.read(_PROVENANCE))
        if provenance["format"] != _FORMAT:
            raise ValueError(f"its format is {provenance['format']!r}")
        version = int(provenance["version"])
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, EOFError, OSError) as error:
        raise ValueError(
            f"{path.name} is no model that skphx wrote ({error}); build the model again."
        ) from error
    if version > _VERSION:
        raise ValueError(
            f"{path.name} has version {version} of the format and this skphx reads up to "
            f"{_VERSION}; update skphx."
        )
    return provenance


def _is_class_of_ours(name):
    """Whether a dotted name is a class that skphx defines."""
    module, _, attribute = name.rpartition(".")
    if not (module == "skphx" or module.startswith("skphx.")):
        return False
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError):
        return False
    return isinstance(found, type) and found.__module__ == module


def _fitted_on(estimator):
    """Wavelengths and nodes of a fitted emulator, in words of JSON."""
    emulator = getattr(estimator, "emulator_", estimator)
    emulator = getattr(emulator, "estimator", emulator)  # of a FrozenEstimator
    facts = {}
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
    """Collect settings that are numbers, strings and the like, by their full names."""
    plain = (bool, int, float, str, type(None))
    return {
        name: value
        for name, value in estimator.get_params(deep=True).items()
        if isinstance(value, plain)
    }


def _damaged(path, error):
    return (
        f"{path.name} is damaged, or of another version of skphx ({type(error).__name__}: "
        f"{error}); build the model again."
    )
