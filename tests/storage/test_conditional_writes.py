"""Stores that keep the conditions of writes, and one that takes them without looking at them."""

import re
import threading
from collections.abc import Iterator
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.storage.conditional_writes import ignored_condition
from experiment_pipeline.storage.locks import exclusive
from experiment_pipeline.storage.object_path import ObjectPath, store_of


class Careless(BaseHTTPRequestHandler):
    """Objects in memory, written whatever the conditions of the request are, but for those that it refuses."""

    objects: ClassVar[dict[str, bytes]] = {}
    refuses_creation = False

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        if self.refuses_creation and self.headers["if-none-match"] == "*" and self.path in self.objects:
            self._answer(412)
            return
        self.objects[self.path] = content
        self._answer(200, content)

    def do_POST(self) -> None:
        """Delete the objects that a list names."""
        bucket = self.path.partition("?")[0]
        keys = re.findall(rb"<Key>(.*?)</Key>", self.rfile.read(int(self.headers["content-length"])))
        for key in keys:
            self.objects.pop(f"{bucket}/{key.decode()}", None)
        deleted = b"".join(b"<Deleted><Key>%b</Key></Deleted>" % key for key in keys)
        self._answer(200, body=b"<DeleteResult>%b</DeleteResult>" % deleted)

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _answer(self, status: int, content: bytes = b"", body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("etag", f'"{md5(content, usedforsecurity=False).hexdigest()}"')
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class CreatingOnce(Careless):
    """Looks at the condition of a creation, and not at that of a replacement."""

    refuses_creation = True


@pytest.fixture(params=[Careless, CreatingOnce])
def careless(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectPath]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), request.param)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    store_of.cache_clear()
    yield ObjectPath.of_url("s3://careless/prefix", tmp_path) / request.param.__name__
    store_of.cache_clear()
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_seaweedfs__keeps_the_conditions__and_nothing_is_left(object_storage: str, tmp_path: Path) -> None:
    root = ObjectPath.of_url(object_storage, tmp_path)
    assert ignored_condition(root) is None
    assert not list(root.below())


def test_store__that_ignores_conditions__is_refused_before_anything_is_locked(careless: ObjectPath) -> None:
    with pytest.raises(ConfigurationError, match="conditional writes") as refused, exclusive(careless, ".lock"):
        raise AssertionError("in the block")
    said = {"Careless": "there already", "CreatingOnce": "no longer has"}[careless.name]
    assert said in str(refused.value)
    assert not Careless.objects
