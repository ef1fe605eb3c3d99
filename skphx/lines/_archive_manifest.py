"""The manifest of an archive of lines: what made it, and whether that is what goes on."""

import json
from datetime import UTC, datetime

from skphx._version import __version__
from skphx.lines._archive_arrays import (
    FORMAT_VERSION,
    digest,
    read_json,
    to_json,
    too_new,
    write_json,
)

FORMAT = "skphx archive of lines"
_FILE = "manifest.json"


def fingerprint(wavelength, spectra):
    """Hashes of the wavelengths and of each spectrum."""
    return {"wavelength": digest(wavelength), "spectra": [digest(flux) for flux in spectra]}


def has_manifest(folder):
    """Whether a folder has the manifest of an archive."""
    return (folder / _FILE).exists()


def write_manifest(folder, settings, input_fingerprint):
    """Say what makes an archive; the fingerprint is None where the input is not known."""
    manifest = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "skphx": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": settings,
        "fingerprint": input_fingerprint,
    }
    write_json(folder / _FILE, manifest)


def read_manifest(folder):
    """Read the manifest, if the folder is an archive that can be read."""
    file = folder / _FILE
    foreign = f"{folder} is not an archive of lines: "
    if not file.exists():
        raise ValueError(f"{foreign}it has no {_FILE}; give a folder that skphx wrote.")
    try:
        manifest = read_json(file)
    except ValueError as error:
        # Without its manifest nothing in an archive can be trusted.
        raise ValueError(
            f"{file} is damaged ({error.__cause__}); bring it back from a copy, or give a new "
            f"folder and fit again."
        ) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"{foreign}its {_FILE} was not written by skphx; give another folder.")
    missing = {"version", "skphx", "settings", "fingerprint"} - set(manifest)
    if missing or not isinstance(manifest["settings"], dict):
        raise ValueError(
            f"{file} is damaged (it lacks {sorted(missing) or 'settings'}); bring it back from a "
            f"copy, or give a new folder and fit again."
        )
    if manifest["version"] > FORMAT_VERSION:
        raise ValueError(too_new(file, manifest["version"]))
    return manifest


def difference(manifest, wavelength, spectra, settings):
    """Say in words what differs from what made an archive; None where nothing does."""
    if manifest["skphx"] != __version__:
        return (
            f"it was made by skphx {manifest['skphx']}, this is {__version__}, and fits of two "
            f"versions must not be mixed"
        )
    before, now = manifest["settings"], json.loads(to_json(settings))
    for name in sorted({*before, *now}):
        if name not in before or name not in now or before[name] != now[name]:
            return f"it was made with {name}={before.get(name)!r}, now {now.get(name)!r}"
    before, now = manifest["fingerprint"], fingerprint(wavelength, spectra)
    if before is None:
        return "it does not say which spectra it was made of"
    if before["wavelength"] != now["wavelength"]:
        return "it was made on other wavelengths"
    if len(before["spectra"]) != len(now["spectra"]):
        return f"it was made of {len(before['spectra'])} spectra, now there are {len(spectra)}"
    for row, (one, other) in enumerate(zip(before["spectra"], now["spectra"], strict=True)):
        if one != other:
            return f"spectrum {row} differs from the one that it was made of"
    return None
