"""The CSV files of this folder, made anew from the package causaldata: `make golden` runs it (see README.md)."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from causaldata import black_politicians, nsw_mixtape

FOLDER = Path(__file__).parent
NSW = ("treat", "age", "educ", "re74", "re75", "re78")
WHOLE = ("treat", "age", "educ")
LEGISLATORS = ("treat_out", "responded", "leg_black")


def convert() -> None:
    """Write both files, with a number for each person in the package's order."""
    people = nsw_mixtape.load_pandas().data[list(NSW)].astype(dict.fromkeys(WHOLE, int))
    write("nsw.csv", ("person", *NSW), people.itertuples(index=False))
    legislators = black_politicians.load_pandas().data[list(LEGISLATORS)].astype(int)
    write("legislators.csv", ("legislator", *LEGISLATORS), legislators.itertuples(index=False))


def write(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows that are numbered from 1."""
    with (FOLDER / name).open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(header)
        writer.writerows((number, *row) for number, row in enumerate(rows, start=1))


if __name__ == "__main__":
    convert()
