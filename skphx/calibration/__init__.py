"""Calibrate the lines of an emulator on stars with known parameters."""

from skphx.calibration._calibrator import LineCalibrator
from skphx.calibration._emulator import CalibratedEmulator

__all__ = ["CalibratedEmulator", "LineCalibrator"]
