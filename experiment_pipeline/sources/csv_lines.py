"""Lines of CSV files: the first one, which names the columns, and ends of lines that differ (rule D1)."""

import csv
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiment_pipeline.domain.texts import quoted
from experiment_pipeline.errors import ConfigurationError

COMPRESSED = ".gz"  # of text
DELIMITERS = ",;\t|"
LONGEST_LINE = 1 << 20  # bytes that are read at once
ENDS = {b"\r\n": "CR LF (Windows)", b"\n": "LF (Unix)", b"\r": "CR"}


def csv_header(file: Path, field: str) -> tuple[str, tuple[str, ...]]:
    """Return the delimiter of a CSV file, and the names of its columns, which its first line holds.

    Raises:
        ConfigurationError: it is not text, or its first line does not name columns.
    """
    try:
        with _opener(file)(file, "rt", encoding="utf-8-sig", newline="") as lines:
            first = lines.readline()
            rest = [lines.readline() for _ in range(20)] if first.count('"') % 2 else []
    except UnicodeDecodeError:
        raise ConfigurationError.of(field, f"{quoted(file.name)} is not UTF-8 text.") from None
    except (gzip.BadGzipFile, EOFError):
        raise ConfigurationError.of(field, f"{quoted(file.name)} is not compressed with gzip.") from None
    delimiter = max(DELIMITERS, key=first.count)
    names = next(csv.reader([first, *rest], delimiter=delimiter), [])
    twins = sorted(name for name in names if [other.casefold() for other in names].count(name.casefold()) > 1)
    if not names or not all(name.strip() for name in names) or twins:
        message = f"The first line of {quoted(file.name)} must name its columns, each once, whatever their case"
        shown = f": {quoted(twins[0])} and {quoted(twins[1])} are one name." if twins else "."
        raise ConfigurationError.of(field, f"{message}{shown}")
    return delimiter, tuple(names)


def other_line_end(file: Path) -> str | None:
    """Return a sentence on the first line that ends in another way than the one before it; None where all are alike.

    Ends within quotes are no ends of lines.
    """
    before, is_quoted = b"", False
    with _opener(file)(file, "rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(LONGEST_LINE), b""), start=1):
            is_quoted ^= line.count(b'"') % 2 == 1
            end = next((end for end in ENDS if line.endswith(end)), b"")
            if is_quoted or not end:
                continue
            if before and end != before:
                ends = f"in {ENDS[end]} and those before it in {ENDS[before]}"
                return f"Line {number:,} of {quoted(file.name)} ends {ends}: save the file with one kind of line end."
            before = end
    return None


def _opener(file: Path) -> Callable[..., Any]:
    return gzip.open if file.name.lower().endswith(COMPRESSED) else open
