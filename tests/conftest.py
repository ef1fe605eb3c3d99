"""Fixtures for all tests: shared spectra, thread limits, a small generated grid."""

import os
from pathlib import Path

import pytest
import torch

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure(config):
    # Two cores: more threads than cores make every test slower.
    torch.set_num_threads(min(2, os.cpu_count() or 1))


@pytest.fixture(scope="session")
def shared_data():
    """Folder of the shared spectra; skips the test where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the shared spectra, and {SHARED_DATA} does not exist")
    return SHARED_DATA
