"""The engine beneath :func:`skphx.lines.render_flux`: sums of lines and their derivatives.

=============================  =================================================================
what                           where
=============================  =================================================================
checks of what is given        ``arguments.py``
shapes of lines                ``profile.py``
arrays, tensors and devices    ``devices.py``
lines as cores and far series  ``series.py``, ``voigt_slope.py``
which mesh serves which line   ``plan.py``
the sum over meshes            ``mesh.py``, with the splines of ``spline.py``
its elementary operations      ``kernels_cpu.py`` over the compiled ``*_numba.py``, and
                               ``kernels_torch.py`` with ``faddeeva.py`` for GPUs
the plain sum                  ``direct.py``
both sums for tensors          ``autograd.py``
the normal equations of fits   ``normal_equations.py``
threads of the above           ``threads.py``
=============================  =================================================================

``autograd.py``, ``faddeeva.py`` and ``kernels_torch.py`` import torch. They are imported when
tensors are given, or a device other than the CPU is named: without torch all else works.
"""
