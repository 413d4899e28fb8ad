"""The command ``bps`` in a process of its own, which takes its jobs out of the queue when it is interrupted.

``python -m skyloom.execute.submitter PARENT ARGUMENTS``: it is interrupted by Ctrl-C, and when the process PARENT is
gone, killed perhaps.  Jobs that went on without it would meet those of the next call.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time

__all__ = ["main"]

_LOOK_SECONDS = 1.0


def main() -> None:
    """Call ``bps`` with the arguments of this process."""
    # What was begun in the background of a shell would not heed Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_watch, args=(int(sys.argv.pop(1)),), daemon=True, name="parent-watch").start()
    from lsst.ctrl.bps.cli.bps import main as bps

    try:
        bps()
    finally:
        _cancel_jobs()


def _watch(parent: int) -> None:
    """Interrupt this process when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGINT)


def _cancel_jobs() -> None:
    """Give back what parsl still holds of the batch system; nothing after a normal end, and for other systems."""
    import parsl
    from parsl.errors import NoDataFlowKernelError

    with contextlib.suppress(NoDataFlowKernelError):
        parsl.dfk().cleanup()


if __name__ == "__main__":
    main()
