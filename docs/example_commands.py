"""The command ``skyloom`` for blocks, without the seconds that its imports take: one process has imported everything,
and forks for each command, which gets the words, the folder, the variables and the streams of its caller.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["commands_folder"]

SCRIPT = Path(sys.executable).parent / "skyloom"
CLIENT = """\
#!{python} -IS
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(request).to_bytes(4, "big")], [0, 1, 2])
server.sendall(request)
sys.exit((server.recv(1) or b"\\xff")[0])
"""
PACKAGES = ("cli", "tasks", "execute", "repo", "report", "calibs", "simulate")


@cache
def commands_folder() -> Path:
    """A folder for the front of the PATH, in which ``skyloom`` is the quick one; it lasts as long as this process."""
    folder = Path(tempfile.mkdtemp(prefix="skyloom_"))
    address = str(folder / "socket")
    server = subprocess.Popen(
        [sys.executable, __file__, address],
        stdin=subprocess.PIPE,  # its end tells the server to end
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"},
    )
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.communicate)  # the end of its standard input
    client = folder / "skyloom"
    client.write_text(CLIENT.format(python=sys.executable, address=address))
    client.chmod(0o755)
    while not Path(address).exists():
        if server.poll() is not None:
            raise RuntimeError("the process that runs the commands of the examples did not start")
        time.sleep(0.1)
    return folder


def serve(address: str) -> None:
    """Fork for each request, until the standard input ends."""
    _import_all()
    gc.freeze()
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)  # Arrow has a thread
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}_")
    listener.listen()
    Path(f"{address}_").rename(address)
    while listener in select.select([listener, 0], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _answer(connection)
            return
        connection.close()
        _reap(os.WNOHANG)
    _reap()


def _reap(options: int = 0) -> None:
    """Wait for those that have answered, or for all."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, options)[0]:
            pass


def _import_all() -> None:
    """What commands import when they are called."""
    import importlib
    import pkgutil

    for package in PACKAGES:
        found = importlib.import_module(f"skyloom.{package}")
        for module in pkgutil.walk_packages(found.__path__, f"skyloom.{package}."):
            importlib.import_module(module.name)


def _answer(connection: socket.socket) -> None:
    """Run a command in a process of its own, and send its exit status."""
    head, streams, _, _ = socket.recv_fds(connection, 4, 3)
    with connection.makefile("rb") as file:
        words, folder, variables = json.loads(file.read(int.from_bytes(head, "big")))
    command = os.fork()
    if command:
        status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
        connection.sendall(bytes([status % 256]))
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    main = sys.modules["__main__"]
    main.__file__, main.__spec__ = str(SCRIPT), None  # workers that are started look for it
    sys.argv = [str(SCRIPT), *words]
    from skyloom.cli import main as run

    sys.exit(run())


if __name__ == "__main__":
    serve(sys.argv[1])
