"""Paths of objects in a bucket, with the part of `pathlib.Path`'s interface that the pipeline uses.

Code that works on a `StoragePath` does the same over a local folder and over `s3://`, `gs://` and `az://`. An object is
written as a whole by one request, so no reader sees a part of it, and what a request has answered is durable.
"""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from experiment_pipeline.errors import StorageUnavailable

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az")
URL = re.compile(
    rf"(?P<bucket>(?:{'|'.join(SCHEMES)})://[a-z0-9][a-z0-9._-]{{1,62}})(?P<prefix>(?:/[A-Za-z0-9._-]+)*)/?"
)
REQUEST_SECONDS = 30.0  # of one request; a large object is sent in parts of its own
RETRIES = 3  # of a request that met no answer, or an error of the server
PART_BYTES = 16 << 20  # of a download: a request has its time for each
PAGE = 1_000  # keys of one listing request
QUERY = re.compile(r"\?\S+")  # of an address in an error's text: some stores sign there
ALLOW_HTTP = ("AWS_ALLOW_HTTP", "AZURE_ALLOW_HTTP", "ALLOW_HTTP")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as a listing has it.

    Attributes:
        path: of the object.
        size: in bytes.
        modified_at: UTC, in whole seconds, by the clock of the store.
        version: the entity tag, which is another one after every write of other content.
    """

    path: "ObjectPath"
    size: int
    modified_at: datetime
    version: str | None

    @property
    def st_size(self) -> int:
        """The size, as `os.stat_result` calls it."""
        return self.size

    @property
    def st_mtime(self) -> float:
        """The time of the last write, as `os.stat_result` has it."""
        return self.modified_at.timestamp()


class ObjectPath:
    """Path of an object, or of all objects below it.

    Attributes:
        bucket: the URL of the bucket, `s3://bucket`.
        key: of the object in the bucket; empty for the bucket itself.
        scratch: local folder for files on their way to and from the bucket.
    """

    __slots__ = ("_seconds", "bucket", "key", "scratch")

    def __init__(self, bucket: str, key: str, scratch: Path, *, seconds: float = REQUEST_SECONDS) -> None:
        self.bucket, self.key, self.scratch, self._seconds = bucket, key, scratch, seconds

    @classmethod
    def of_url(cls, url: str, scratch: Path) -> Self:
        """Return the path of a URL such as `s3://bucket/prefix`.

        Raises:
            ValueError: it is no such URL.
        """
        found = URL.fullmatch(url)
        if found is None:
            raise ValueError(
                f"must look like s3://bucket/prefix, with one of {', '.join(SCHEMES)}, letters, digits, ._-"
            )
        return cls(found["bucket"], found["prefix"].strip("/"), scratch)

    def within(self, limit: timedelta) -> "ObjectPath":
        """Return the same path, whose requests end within so long and are not repeated."""
        return ObjectPath(self.bucket, self.key, self.scratch, seconds=-max(1.0, limit.total_seconds()))

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    def __repr__(self) -> str:
        return f"ObjectPath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectPath) and str(self) == str(other)

    def __lt__(self, other: "ObjectPath") -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __truediv__(self, name: "str | PurePosixPath") -> "ObjectPath":
        return self._at(f"{self.key}/{name}".strip("/"))

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def parent(self) -> "ObjectPath":
        """The path above."""
        return self._at(self.key.rpartition("/")[0])

    def with_suffix(self, suffix: str) -> "ObjectPath":
        """Return the path with another suffix of its name."""
        return self._at(str(PurePosixPath(self.key).with_suffix(suffix)))

    def absolute(self) -> "ObjectPath":
        """Return the path itself: it depends on no working directory."""
        return self

    def relative_to(self, above: "ObjectPath") -> PurePosixPath:
        """Return the rest of the key below another path."""
        return PurePosixPath(self.key).relative_to(above.key)

    def exists(self) -> bool:
        """Return whether there is an object of this key."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def stat(self) -> StoredObject:
        """Return size, time and version. Raises FileNotFoundError."""
        import obstore

        with storage_errors(self):
            return _stored(self, obstore.head(self._store, self.key))

    def open(self, mode: Literal["rb"] = "rb") -> io.BytesIO:  # noqa: ARG002 - the interface of Path
        """Return the content, read by one request: all of it is of one and the same write."""
        return io.BytesIO(self.read_bytes())

    def read_bytes(self) -> bytes:
        """Return the content. Raises FileNotFoundError."""
        return self.read()[0]

    def read(self) -> tuple[bytes, str | None]:
        """Return the content and its version, by one request. Raises FileNotFoundError."""
        import obstore

        with storage_errors(self):
            found = obstore.get(self._store, self.key)
            return found.bytes().to_bytes(), found.meta["e_tag"]

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the content as text. Raises FileNotFoundError."""
        return self.read_bytes().decode(encoding)

    def download(self, target: Path) -> None:
        """Write the content to a local file, part by part, all of one version. Raises FileNotFoundError."""
        import obstore

        found = self.stat()
        with target.open("wb") as file, storage_errors(self):
            for start in range(0, found.size, PART_BYTES):
                part = (start, min(start + PART_BYTES, found.size))
                got = obstore.get(self._store, self.key, options={"range": part, "if_match": found.version})
                file.write(got.bytes())

    def write_bytes(self, content: bytes) -> None:
        """Write the object, in place of what there is."""
        self._put(content)

    def write_text(self, text: str, encoding: str = "utf-8") -> None:
        """Write the object, in place of what there is."""
        self._put(text.encode(encoding))

    def upload(self, source: Path) -> None:
        """Write the object from a local file, in place of what there is."""
        self._put(source)

    def create(self, content: bytes | Path) -> str | None:
        """Write the object where there is none of this key; of several that try, one succeeds.

        Returns:
            Its version.

        Raises:
            FileExistsError: there is one.
        """
        return self._put(content, mode="create", use_multipart=False)

    def replace_version(self, content: bytes, version: str | None) -> str | None:
        """Write the object in place of one version of it; of several that try, one succeeds. Return the new version.

        Raises:
            FileExistsError: it has another version, or is gone.
        """
        return self._put(content, mode={"e_tag": version}, use_multipart=False)

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object. Raises FileNotFoundError where the store says that there is none."""
        import obstore

        try:
            with storage_errors(self):
                obstore.delete(self._store, self.key)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def below(self, after: str | None = None) -> Iterator[StoredObject]:
        """Yield every object below this path, in the order of their keys.

        Args:
            after: of those, what comes after this key below the path.
        """
        import obstore

        prefix = f"{self.key}/" if self.key else ""
        offset = None if after is None else f"{prefix}{after}"
        with storage_errors(self):
            for page in obstore.list(self._store, prefix or None, offset=offset, chunk_size=PAGE):
                for meta in page:
                    yield _stored(self._at(meta["path"]), meta)

    def iterdir(self) -> Iterator["ObjectPath"]:
        """Yield the paths right below this one, of objects and of others that have objects below them."""
        import obstore

        with storage_errors(self):
            found = obstore.list_with_delimiter(self._store, f"{self.key}/" if self.key else None)
        keys = [*found["common_prefixes"], *(meta["path"] for meta in found["objects"])]
        yield from (self._at(key.rstrip("/")) for key in sorted(keys))

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        """Yield the objects below whose keys match a pattern, part by part; `**` is not known."""
        fixed = WILDCARD.split(pattern)[0].rpartition("/")[0]
        depth = pattern.count("/")
        for found in (self / fixed if fixed else self).below():
            path = found.path.relative_to(self)
            if len(path.parts) == depth + 1 and path.match(pattern):
                yield found.path

    def _put(self, content: bytes | Path, **options: Any) -> str | None:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            with storage_errors(self):
                return obstore.put(self._store, self.key, content, **options)["e_tag"]
        except (AlreadyExistsError, PreconditionError):
            raise FileExistsError(f"{self} was written by another process.") from None

    def _at(self, key: str) -> "ObjectPath":
        return ObjectPath(self.bucket, key, self.scratch, seconds=self._seconds)

    @property
    def _store(self) -> "ObjectStore":
        return store_of(self.bucket, abs(self._seconds), RETRIES if self._seconds > 0 else 0)


StoragePath: TypeAlias = Path | ObjectPath


@cache
def store_of(bucket: str, seconds: float, retries: int) -> "ObjectStore":
    """Return the client of a bucket: where it is and who asks, it has from the usual environment variables."""
    from obstore.store import from_url

    # Options that are given here take the place of all that the environment says of the connection.
    allow_http = any(os.environ.get(name, "").lower() in {"true", "1"} for name in ALLOW_HTTP)
    return from_url(
        bucket,
        client_options={"timeout": timedelta(seconds=seconds), "allow_http": allow_http},
        retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=2 * seconds)},
    )


@contextmanager
def storage_errors(path: StoragePath) -> Iterator[None]:
    """Raise what clients of object stores raise as the errors that the same call has over a local folder.

    Raises:
        StorageUnavailable: the store does not answer, or refuses; its text is without what a store may have signed.
        FileNotFoundError: as it is.
    """
    if isinstance(path, Path):
        yield
        return
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise
    except BaseError as error:
        raise StorageUnavailable(_told(path, error)) from None
    except OSError as error:
        if error.errno is not None or isinstance(error, FileNotFoundError | FileExistsError | StorageUnavailable):
            raise
        raise StorageUnavailable(_told(path, error)) from None  # deltalake's own have no number


def _told(path: ObjectPath, error: Exception) -> str:
    text = COLOURS.sub("", str(error)).partition("\n\nDebug")[0]  # deltalake draws a tree in colours
    cause = QUERY.sub("", " ".join(text.replace("\u21b3", " ").split()))
    return f"The object storage {path.bucket} cannot be used: {cause.rstrip('.')}."


def _stored(path: ObjectPath, meta: Any) -> StoredObject:
    modified_at = meta["last_modified"].replace(microsecond=0)  # listings of some stores are more exact than others
    return StoredObject(path, meta["size"], modified_at, meta["e_tag"])
