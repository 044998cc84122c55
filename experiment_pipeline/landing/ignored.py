"""Ignored files: files in the landing zone that are not ingested are always named, with the reason."""

from dataclasses import dataclass
from enum import StrEnum

from experiment_pipeline.domain.texts import printable
from experiment_pipeline.landing.layout import ENVIRONMENT_FOLDER, EVENTS, NAME_LIMIT, SUFFIXES

NAMES_KEPT = 20  # the rest is a count


class IgnoredReason(StrEnum):
    """Reason why a file or folder in the landing zone is not ingested."""

    UNKNOWN_SUFFIX = "unknown_suffix"
    WRONG_PLACE = "wrong_place"
    HIDDEN = "hidden"
    NAME_NOT_TEXT = "name_not_text"
    NAME_TOO_LONG = "name_too_long"
    LINK_LOOPS = "link_loops"
    BROKEN_LINK = "broken_link"
    NOT_A_FILE = "not_a_file"
    CANNOT_BE_READ = "cannot_be_read"
    CHANGED = "changed"
    INCOMPLETE = "incomplete"

    @property
    def explanation(self) -> str:
        """The explanation of the reason, and what to do about it."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    IgnoredReason.UNKNOWN_SUFFIX: f"only {', '.join(SUFFIXES)} are read: rename JSON lines, convert others",
    IgnoredReason.WRONG_PLACE: f"events lie below {EVENTS}/{ENVIRONMENT_FOLDER}<environment>/: move it there",
    IgnoredReason.HIDDEN: "a folder or file whose name begins with _ is not finished yet: rename it",
    IgnoredReason.NAME_NOT_TEXT: "its name is not UTF-8: rename it",
    IgnoredReason.NAME_TOO_LONG: f"its path is longer than {NAME_LIMIT:,} characters: shorten it",
    IgnoredReason.LINK_LOOPS: "the link leads back to a folder above it: remove it",
    IgnoredReason.BROKEN_LINK: "the link leads to nothing; it is read once there is something",
    IgnoredReason.NOT_A_FILE: "it is a pipe, a socket or a device",
    IgnoredReason.CHANGED: "it is not what was ingested: lake ingest --again FILE reads it, as a batch of its own",
    IgnoredReason.INCOMPLETE: "its source is still being pulled, or the pull has died: the next one writes it anew",
    IgnoredReason.CANNOT_BE_READ: "it is read once it can be; until then no experiment becomes final",
}


@dataclass(frozen=True, slots=True)
class Ignored:
    """One file or folder, by its path below the landing zone as printable text; a folder's ends with a slash."""

    name: str
    reason: IgnoredReason


@dataclass(frozen=True, slots=True)
class IgnoredFiles:
    """How many files and folders are ignored, and the first `NAMES_KEPT` of them."""

    count: int = 0
    first: tuple[Ignored, ...] = ()

    def __add__(self, more: "IgnoredFiles") -> "IgnoredFiles":
        if not more.count:
            return self
        return IgnoredFiles(self.count + more.count, (self.first + more.first)[:NAMES_KEPT])

    @property
    def unnamed(self) -> int:
        """How many there are beside the first."""
        return self.count - len(self.first)


def ignored(name: str, reason: IgnoredReason) -> IgnoredFiles:
    """Return one ignored file; its name may hold anything that a file system allows."""
    return IgnoredFiles(1, (Ignored(printable(name), reason),))
