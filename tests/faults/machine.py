"""A machine with faults: disks that fill up or may only be read, another user, few open files, a clock that is set."""

import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

KIB, MIB = 1 << 10, 1 << 20
PAGE = 4 * KIB  # tmpfs gives whole pages
NOBODY = 65_534
SHIM = Path(__file__).parent / "clock.c"


@dataclass(frozen=True)
class Disk:
    """A small disk that is mounted at a folder."""

    folder: Path

    @property
    def free(self) -> int:
        """Bytes that can still be written."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, leaving: int = 0) -> None:
        """Fill the disk but for so many bytes; others may write meanwhile, and fill it first."""
        taken = self.free - leaving
        with suppress(OSError), self._filler.open("ab") as filler:
            filler.write(bytes(max(0, taken)))

    def empty(self) -> None:
        """Take away what it was filled with."""
        self._filler.unlink(missing_ok=True)

    def only_read(self, yes: bool = True) -> None:
        """Make the disk one that may only be read, or undo it."""
        subprocess.run(["mount", "-o", f"remount,{'ro' if yes else 'rw'}", self.folder], check=True)

    @property
    def _filler(self) -> Path:
        return self.folder / ".filler"


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Disk]:
    """A disk of so many bytes at a folder. Who is not root mounts in a name space of their own: see conftest.py."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", folder], check=True)
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def modes_count(command: list[str]) -> list[str]:
    """Return the command without root's power over file modes; everybody else has no such power."""
    overrides = "-dac_override,-dac_read_search,-fowner"
    return ["setpriv", f"--bounding-set={overrides}", "--", *command] if os.geteuid() == 0 else command


@contextmanager
def of_another(folder: Path) -> Iterator[None]:
    """Give a folder to another user, with all that is in it; where that is not allowed, forbid its owner to write."""
    paths = [folder, *folder.rglob("*")]
    before = [(path, path.stat()) for path in paths]
    for path in paths:
        try:
            os.chown(path, NOBODY, NOBODY)
        except OSError:
            path.chmod(0o555 if path.is_dir() else 0o444)
        else:
            path.chmod(0o755 if path.is_dir() else 0o644)
    try:
        yield
    finally:
        for path, status in before:
            if path.exists():
                os.chown(path, status.st_uid, status.st_gid)
                path.chmod(status.st_mode & 0o777)


def limited(**limits: int) -> Callable[[list[str]], list[str]]:
    """Return what makes of a command one whose process has limits, e.g. `nofile` of open files."""
    options = [f"--{name}={most}:{most}" for name, most in limits.items()]
    return lambda command: ["prlimit", *options, "--", *command]


def with_open_files(left: int) -> Callable[[list[str]], list[str]]:
    """Return what makes of a command one that may open so many files more: it inherits others that are open."""
    allowed, standard = 512, 3
    opened = f"for _ in {{1..{allowed - standard - left}}}; do exec {{file}}</dev/null; done"
    return lambda command: limited(nofile=allowed)(["bash", "-c", f'{opened}; exec "$@"', "bash", *command])


@dataclass(frozen=True)
class Clock:
    """A clock that all processes with its environment share, and that can be set while they run."""

    offset: Path
    shim: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.shim), "CLOCK_OFFSET": str(self.offset)}

    def set(self, seconds: int) -> None:
        """Set the clock ahead by so many seconds, or back."""
        with self.offset.open("r+b") as file:
            file.write(struct.pack("q", seconds))


def make_clock(folder: Path) -> Clock:
    """Compile the shim that adds an offset to the system's clock, and return a clock that is right."""
    clock = Clock(folder / "offset", folder / "clock.so")
    clock.offset.write_bytes(bytes(8))
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", clock.shim, SHIM], check=True)
    return clock
