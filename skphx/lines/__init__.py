"""A spectrum as a list of lines: profiles, tables of lines, and the engine that sums them."""

from importlib import import_module

_HOME_OF_NAME = {
    "LineArchive": "skphx.lines.archive",
    "LineTable": "skphx.lines.table",
    "assign_lines": "skphx.lines.matching",
    "clone_spectrum": "skphx.lines.fitting",
    "detect_lines": "skphx.lines.detection",
    "fit_lines": "skphx.lines.fitting",
    "grow_lines": "skphx.lines.growing",
    "nearest_spectrum": "skphx.lines.growing",
    "pull_scale": "skphx.lines.least_squares",
    "guess_line_parameters": "skphx.lines.detection",
    "match_lines": "skphx.lines.matching",
    "optical_depth": "skphx.lines.render",
    "render_jvp": "skphx.lines.render",
    "render_flux": "skphx.lines.render",
    "blase_voigt": "skphx.lines.profile",
    "pseudo_voigt": "skphx.lines.profile",
    "total_fwhm": "skphx.lines.profile",
    "voigt": "skphx.lines.profile",
}

__all__ = list(_HOME_OF_NAME)


def __getattr__(name):
    """Import a public name when it is first asked for (PEP 562)."""
    if name in _HOME_OF_NAME:
        return getattr(import_module(_HOME_OF_NAME[name]), name)
    raise AttributeError(f"module 'skphx.lines' has no attribute {name!r}")


def __dir__():
    """Public names, also those not loaded yet."""
    return sorted(__all__)
