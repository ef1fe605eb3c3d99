"""Fixtures for all tests: shared spectra, thread limits, small generated grids."""

import os
from pathlib import Path

import numba
import numpy as np
import pytest
import torch

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure(config):
    # Two cores: more threads than cores make every test slower.
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    # Tests fit few lines: waking a second thread for each kernel takes longer than its sums.
    numba.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data():
    """Folder of the shared spectra; skips the test where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the shared spectra, and {SHARED_DATA} does not exist")
    return SHARED_DATA
