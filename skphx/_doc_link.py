"""Where an estimator's picture in a notebook links to."""

import os
from importlib.metadata import PackageNotFoundError, metadata


class DocumentationLinkMixin:
    """Link the HTML picture of an estimator to its page of the documentation.

    The documentation is where the environment variable ``SKPHX_DOCS`` says, such as a folder
    built by ``make docs``, else where the package's metadata say; without either there is no
    link.
    """

    # What scikit-learn asks for, see `sklearn.utils._repr_html`.
    _doc_link_module = "skphx"

    @property
    def _doc_link_template(self):
        home = os.environ.get("SKPHX_DOCS") or _published()
        page = "generated/api/skphx.{estimator_name}.html"
        return f"{home.rstrip('/')}/{page}" if home else ""


def _published():
    """Address under "Documentation" in the package's metadata, or nothing."""
    try:
        addresses = metadata("skphx").get_all("Project-URL", [])
    except PackageNotFoundError:
        # A copy that is imported without being installed.
        return ""
    pairs = (entry.partition(",") for entry in addresses)
    return next((url.strip() for name, _, url in pairs if name.strip() == "Documentation"), "")
