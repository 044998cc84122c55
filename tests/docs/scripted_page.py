"""Pages that are run as they are written: the commands in fenced blocks, in order, as a reader types them.

The words behind the three backticks say what a block is:

    sh                   commands of the first terminal; they stop at the first that fails
    sh second terminal   commands of a terminal of its own, which run until the page ends
    text                 what the block of commands before it has printed; a line `...` stands for any lines,
                         and `...` in a line for any text
    LANGUAGE FILE        a file that the reader saves in the present folder
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

BLOCK = re.compile(r"^```(\S+) ?(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?")  # the only thing that may differ
LEFT_OUT = "..."
SECOND_TERMINAL = "second terminal"
DEADLINE = 300  # seconds; a safety net


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, the words behind it, its text, and the line of the page that it begins at."""

    language: str
    words: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    return [
        Block(found[1], found[2], found[3], page.count("\n", 0, found.start()) + 1) for found in BLOCK.finditer(page)
    ]


def is_shown(expected: str, printed: str) -> bool:
    """Return whether a text block shows what was printed, but for times, lines left out and spaces at the ends."""
    parts = [r"(?:.*\n)*?" if line == LEFT_OUT else _pattern(line) for line in _lines(expected)]
    seen = "".join(f"{TIME.sub('TIME', line)}\n" for line in _lines(printed))
    return re.fullmatch("".join(parts), seen) is not None


def _pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in TIME.sub("TIME", line).split(LEFT_OUT)) + r"\n"


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


@dataclass
class Reader:
    """One reader at work: the first terminal's folder and variables, and the processes of the others."""

    folder: Path
    environment: dict[str, str]
    printed: str = ""
    begun_in: Path = field(init=False)
    begun_with: dict[str, str] = field(init=False)
    others: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    def __post_init__(self) -> None:
        self.begun_in, self.begun_with = self.folder, dict(self.environment)

    def follow(self, block: Block) -> None:
        """Do what a block says, or compare what it shows."""
        if block.language == "sh" and block.words == SECOND_TERMINAL:
            self._open_terminal(block.text)
        elif block.language == "sh":
            self.printed = self._run(block)
        elif block.language == "text":
            assert is_shown(block.text, self.printed), f"line {block.line} shows other text than\n{self.printed}"
        else:
            (self.folder / block.words).write_text(block.text, "utf-8")

    def _run(self, block: Block) -> str:
        kept = self.begun_in / ".terminal"
        commands = f"{block.text}\npwd > {kept}.folder; env -0 > {kept}.environment"
        done = subprocess.run(
            ["bash", "-e", "-c", commands],
            cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, timeout=DEADLINE, check=False, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"line {block.line} ended with {done.returncode}:\n{done.stdout}"
        self.folder = Path(Path(f"{kept}.folder").read_text().strip())
        variables = Path(f"{kept}.environment").read_text().split("\0")
        self.environment = dict(each.split("=", 1) for each in variables if each)
        return done.stdout

    def _open_terminal(self, commands: str) -> None:
        last = commands.rstrip().rpartition("\n")
        log = (self.begun_in / f"terminal-{len(self.others) + 2}.log").open("wb")
        with log:
            self.others.append(
                subprocess.Popen(
                    ["bash", "-e", "-c", f"{last[0]}\nexec {last[2]}"],  # Ctrl-C is for the last command
                    cwd=self.begun_in, env=self.begun_with, stdout=log, stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL, start_new_session=True,
                )
            )  # fmt: skip


@contextmanager
def reading(folder: Path, environment: dict[str, str]) -> Iterator[Reader]:
    """Yield a reader in a folder; at the end, type Ctrl-C in the other terminals, which must end well."""
    reader = Reader(folder, environment)
    try:
        yield reader
    finally:
        for process in reader.others:
            process.send_signal(signal.SIGINT)
        codes = [process.wait(timeout=60) for process in reader.others]
    assert codes == [0] * len(codes)


def readers_environment() -> dict[str, str]:
    """Return the variables of a terminal that was just opened: nothing of the product's is set."""
    kept = {"HOME", "LANG", "PATH", "TMPDIR", "USER"}
    return {name: value for name, value in os.environ.items() if name in kept} | {"PIP_NO_INDEX": "1"}
