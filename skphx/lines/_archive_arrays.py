"""Files of an archive of lines: written whole or not at all, and checked when they are read."""

import hashlib
import json
import zipfile
import zlib

import numpy as np

from skphx._atomic_write import write_atomically

# Raised when a reader must act differently.
FORMAT_VERSION = 1
# What zipfile and NumPy raise on bytes that are no npz file; TypeError and AttributeError where
# they hold a single array.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    KeyError,
    EOFError,
    OSError,
    NotImplementedError,
    TypeError,
    AttributeError,
)


def write_json(path, content):
    """Write a JSON file."""
    write_atomically(path, lambda file: file.write(to_json(content)))


def to_json(content):
    """Encode as JSON, equal content to equal bytes; NumPy's numbers count as Python's."""
    text = json.dumps(content, sort_keys=True, indent=1, default=lambda number: number.item())
    return text.encode()


def read_json(path):
    """Decode a JSON file."""
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(damaged(path, str(error))) from error


def write_arrays(path, key, arrays):
    """Write an npz file that knows the key under which it stands."""
    labels = {"key": key, "version": FORMAT_VERSION}
    write_atomically(path, lambda file: np.savez(file, **arrays, **labels))


def read_arrays(path, key, names=None):
    """Read the arrays of an npz file, all or those of `names` that it has; None without file."""
    try:
        # A file object of our own: NumPy would leave a damaged one open.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            version, stored_key = int(stored["version"]), str(stored["key"])
            chosen = set(stored) - {"key", "version"}
            chosen = chosen if names is None else chosen & set(names)
            arrays = {name: stored[name] for name in chosen}
    except FileNotFoundError:
        return None
    except _UNREADABLE as error:
        raise ValueError(damaged(path, f"{type(error).__name__}: {error}")) from error
    if version > FORMAT_VERSION:
        raise ValueError(too_new(path, version))
    if stored_key != key:
        raise ValueError(damaged(path, f"it belongs to key {stored_key}"))
    return arrays


def digest(array):
    """Hash of an array's type, shape and values."""
    total = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def damaged(path, reason):
    """Message about a file that cannot be trusted."""
    return (
        f"{path} is damaged ({reason}). Delete this file and run the same fit again: what it "
        f"held is computed anew, all else is kept."
    )


def too_new(path, version):
    """Message about a file of a later format."""
    return (
        f"{path} has version {version} of the format and this skphx reads up to "
        f"{FORMAT_VERSION}; update skphx."
    )
