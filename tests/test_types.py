"""Everything public is annotated, so that `py.typed` is true; `make lint` checks the types."""

import inspect
from pathlib import Path

import pytest
from test_docs import find, public_objects


def unannotated(name):
    """Parameters of a public function, method or constructor without a type, and `return`."""
    thing = find(name)
    if inspect.isclass(thing):
        thing = vars(thing).get("__init__")
        if not inspect.isfunction(thing):
            return []  # a dataclass, whose fields mypy knows, or a constructor inherited
    if isinstance(thing, property):
        thing = thing.fget
    signature = inspect.signature(thing)
    missing = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.annotation is parameter.empty and parameter.name not in ("self", "cls")
    ]
    return missing + ["return"] * (signature.return_annotation is signature.empty)


@pytest.mark.parametrize("name", list(public_objects()))
def test_public_names_are_annotated(name):
    assert unannotated(name) == []


def test_a_missing_annotation_is_noticed(monkeypatch):
    import skphx.metrics

    def flux_rms(y_true, y_pred: object) -> float:
        return 0.0

    monkeypatch.setattr(skphx.metrics, "flux_rms", flux_rms)
    assert unannotated("skphx.metrics.flux_rms") == ["y_true"]


def test_the_marker_is_in_the_package():
    import skphx

    assert (Path(skphx.__file__).parent / "py.typed").is_file()
