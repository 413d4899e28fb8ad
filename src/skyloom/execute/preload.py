"""What the fork server imports once for all workers."""

import numba  # noqa: F401

import skyloom.execute.worker  # noqa: F401
