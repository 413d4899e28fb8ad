"""`inner_kernel`: for functions that only other kernels call.

They are compiled without what Python would need to call them, which takes a third off the time of compiling.
"""

from __future__ import annotations

from numba import njit

__all__ = ["inner_kernel"]

inner_kernel = njit(cache=True, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
