"""Servers that tests start: PostgreSQL, and a store that speaks S3."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import boto3
import psycopg
import pytest
import yaml

USER, PASSWORD = "skyloom", "loom"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(works: Callable[[], object], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            works()
        except Exception:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return


class Server:
    """A process in a folder of its own, and the variables by which clients find it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="skyloom-server-"))
        self.port = free_port()
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *command: str, **how: str) -> None:
        log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **how)  # type: ignore[call-overload]

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # to PostgreSQL: at once, whoever is connected
            self._process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)


class PostgreSQL(Server):
    """A PostgreSQL server with a database ``registry``; its programs do not run as root."""

    @property
    def url(self) -> str:
        return f"postgresql://127.0.0.1:{self.port}/registry"

    def __enter__(self) -> Self:
        programs = find_postgresql()
        if programs is None:
            pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
        how = {}
        if os.geteuid() == 0:
            how = {
                "user": next(
                    one for one in ("postgres", "nobody") if one in {entry.pw_name for entry in pwd.getpwall()}
                )
            }
            shutil.chown(self.folder, how["user"])
        data, word = self.folder / "data", self.folder / "word"
        word.write_text(PASSWORD)
        word.chmod(0o644)
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", USER, "-A", "scram-sha-256", f"--pwfile={word}", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=self.folder,
            **how,  # type: ignore[call-overload]
        )
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder}
        options = [f"--{name}={value}" for name, value in {**settings, "fsync": "off"}.items()]
        self.start(str(programs / "postgres"), "-D", str(data), *options, **how)
        wait_for(lambda: self.execute("postgres", "SELECT 1"))
        self.execute("postgres", "CREATE DATABASE registry")
        self.execute("registry", "CREATE EXTENSION btree_gist")
        secrets = self.folder / "db-auth.yaml"
        secrets.write_text(yaml.safe_dump([{"url": self.url, "username": USER, "password": PASSWORD}]))
        secrets.chmod(0o600)
        self.environment = {"LSST_DB_AUTH": str(secrets)}
        return self

    def execute(self, database: str, statement: str) -> None:
        where = {"host": "127.0.0.1", "port": self.port, "user": USER, "password": PASSWORD, "dbname": database}
        with psycopg.connect(**where, autocommit=True) as connection:  # type: ignore[arg-type]
            connection.execute(statement)  # type: ignore[call-overload]


def find_postgresql() -> Path | None:
    """Folder of the server's programs: on the path, or where Debian puts them."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((one for one in reversed(found) if (one / "postgres").exists()), None)


class ObjectStore(Server):
    """A server of the S3 protocol with a bucket ``survey``."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.environment = {
            "S3_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.start(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port))
        wait_for(lambda: self.client().create_bucket(Bucket="survey"))
        return self

    def client(self) -> boto3.client:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            region_name="us-east-1",
        )

    def keys(self, prefix: str) -> set[str]:
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket="survey", Prefix=prefix)
        return {one["Key"] for page in pages for one in page.get("Contents", [])}
