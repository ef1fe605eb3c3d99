"""Where lines are summed: arrays of NumPy on the CPU, tensors of torch on any other device."""

import sys

import numpy as np


def is_tensor(value):
    """Whether a value is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    # Another thread may be in the middle of importing torch.
    return torch is not None and isinstance(value, getattr(torch, "Tensor", ()))


def namespace(*values):
    """Return torch if any value is a tensor, else NumPy."""
    return sys.modules["torch"] if any(is_tensor(value) for value in values) else np


def check_device(device):
    """Raise unless lines can be summed on a device.

    Parameters
    ----------
    device : str or torch.device
        "cpu", which needs no torch, or the name of any other device of torch.

    Raises
    ------
    ImportError
        If the device is not the CPU and torch is missing.
    ValueError
        If torch does not know the device, or this machine does not have it.

    Examples
    --------
    >>> from skphx.lines._engine.devices import check_device
    >>> check_device("cpu")
    """
    if _is_cpu(device):
        return
    torch = _import_torch(device)
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device must name a torch device of this machine, such as 'cpu', got {device!r}: "
            f"{reason}"
        ) from error


def send(array, device):
    """Return an array as it is for the CPU, or as a tensor on another device."""
    if _is_cpu(device):
        return array
    return _import_torch(device).tensor(array, device=device)


def fetch(array):
    """Return the values of an array or a tensor as an array, outside torch's graph."""
    return array.detach().cpu().numpy() if is_tensor(array) else array


def _is_cpu(device):
    """Whether a device is the CPU, with or without a number: "cpu", "cpu:0"."""
    return str(device).partition(":")[0] == "cpu"


def _import_torch(device):
    """Import torch, or say why it is needed."""
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            f"device={device!r} needs torch, which could not be imported ({error}): "
            f"pip install 'skphx[torch]', or use device='cpu'."
        ) from error
    return torch
