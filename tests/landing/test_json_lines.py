"""JSON lines of objects that were put together from several, or hold nothing in places."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiment_pipeline.domain.envelopes import NOT_UTF_8
from experiment_pipeline.landing import documents, json_lines
from experiment_pipeline.landing.documents import Part
from experiment_pipeline.landing.json_lines import LineReader
from experiment_pipeline.landing.problems import Problem

BOM = b"\xef\xbb\xbf"
A, B, C = (json.dumps({"n": number}) for number in range(3))


def read(tmp_path: Path, data: bytes, name: str = "a.jsonl") -> tuple[list[tuple[int, str]], Problem | None]:
    path = tmp_path / name
    path.write_bytes(data)
    reader = LineReader(path)
    lines = [(line, text.strip()) for frame in reader.lines() for line, text in frame.iter_rows()]
    return lines, reader.problem


def members(*texts: bytes) -> bytes:
    return b"".join(gzip.compress(text, mtime=0) for text in texts)


@pytest.mark.parametrize(
    "data",
    [
        f"{A}\n{B}\n{C}".encode(),
        BOM + f"{A}\n\ufeff{B}\r\n{C}\n".encode(),
        BOM + BOM + f"{A}\n{B}\n\ufeff\ufeff{C}".encode(),
        members(f"{A}\n{B}\n{C}\n".encode()),
        members(f"{A}\n".encode(), f"{B}\n{C}".encode()),
        members(BOM + f"{A}\n".encode(), BOM + f"{B}\n".encode(), BOM + C.encode()),
        members(A.encode(), B.encode(), C.encode()),
        members(BOM + A.encode(), BOM + B.encode(), BOM + f"{C}\n".encode()),
        members(A.encode(), f"\n{B}\n".encode(), C.encode()),
        members(b"", BOM + f"{A}\n{B}\n".encode(), b"", b"", BOM + C.encode(), b""),
        members(BOM, A.encode() + b"\n", b"\n", BOM + f"\n{B}\n{C}".encode()),
        members(f"{A}\n{B}\n".encode()) + b"\0" * 700 + members(C.encode()) + b"\0" * 2_000_000,
        BOM + members(f"{A}\n{B}\n{C}".encode()),
    ],
    ids=range(13),
)
def test_lines__of_an_object_put_together_from_several__are_all_there(tmp_path: Path, data: bytes) -> None:
    lines, problem = read(tmp_path, data, "a.jsonl.gz" if b"\x1f\x8b" in data else "a.jsonl")
    assert ([text for _, text in lines], problem) == ([A, B, C], None)


@pytest.mark.parametrize("at", range(1, 60))
def test_lines__of_members_that_are_cut_anywhere__are_whole(tmp_path: Path, at: int) -> None:
    text = '{"n": "a}{b\ufeff", "t": {"x": {}}}\n{"n": [{}, {"y": 1}]}\n{"n": 2}'
    data = text.encode()
    lines, problem = read(tmp_path, members(data[:at], data[at:]), "a.jsonl.gz")
    assert (lines, problem) == (list(enumerate(text.split("\n"), start=1)), None)


def test_lines__of_members_of_one_byte_each__are_whole(tmp_path: Path) -> None:
    data = f"{A}\n{B}\n{C}".encode()
    assert read(tmp_path, members(*(bytes([byte]) for byte in data)))[0] == [(1, A), (2, B), (3, C)]


def test_lines__of_a_line_that_is_cut_into_very_many_members__are_looked_at_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    real = json_lines._is_whole

    def counted(line: bytes) -> bool:
        asked.append(line)
        return real(line)

    monkeypatch.setattr(json_lines, "_is_whole", counted)
    record = json.dumps({"n": [{}] * 500})
    parts = record.replace(",", ",\0").split("\0")
    assert read(tmp_path, members(*(part.encode() for part in parts), b"\n", A.encode()))[0] == [(1, record), (2, A)]
    assert len(asked) <= json_lines.MOST_CUTS + 1


@pytest.mark.parametrize("data", [b"", BOM, members(b""), members(b"", BOM, b""), members(b"", b"") + b"\0\0"])
def test_lines__of_an_object_without_any_text__is_empty(tmp_path: Path, data: bytes) -> None:
    assert read(tmp_path, data) == ([], Problem.EMPTY)


def test_lines__of_a_member_that_breaks_off__keep_what_is_there(tmp_path: Path) -> None:
    whole, broken = gzip.compress(f"{A}\n".encode()), gzip.compress(f"{B}\n{C}".encode())
    assert read(tmp_path, whole + broken[:-9])[1] is Problem.TRUNCATED_GZIP
    assert read(tmp_path, whole + broken[:-9])[0][0] == (1, A)
    assert read(tmp_path, whole + b"no gzip")[1] is Problem.CORRUPT_GZIP


def test_lines__through_windows_of_every_size__are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = members(BOM + A.encode(), b"", BOM + f"{B}\r\n\n".encode(), BOM + C.encode()) + b"\0" * 9
    for size in (4, 5, 7, 64):
        monkeypatch.setattr(json_lines, "READ_BYTES", size)
        monkeypatch.setattr(json_lines, "FRAME_BYTES", size)
        lines, problem = read(tmp_path, data, "a.jsonl.gz")
        assert ([text for _, text in lines], problem) == ([A, B, C], None)


RECORDS = [{"event": "a", "traits": {"n": number}} for number in range(3)]
ARRAYS = [
    json.dumps(RECORDS, indent=2),
    "[\n" + ",\n".join(map(json.dumps, RECORDS)) + "\n]\n",
    "\n [" + "\n,".join(map(json.dumps, RECORDS)) + "]",
    json.dumps(RECORDS),
    json.dumps(RECORDS) + "\n",
]
OBJECTS = [json.dumps(RECORDS[0], indent=1), json.dumps({"events": RECORDS}, indent=4) + "\n"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("text", "problem"),
    [(text, Problem.ONE_JSON_ARRAY) for text in ARRAYS] + [(text, Problem.ONE_JSON_OBJECT) for text in OBJECTS],
)
def test_lines__of_one_json_value__is_one_rejected_line_and_a_problem(
    tmp_path: Path, text: str, problem: Problem, packed: bool
) -> None:
    data = BOM + text.encode()
    lines, found = read(tmp_path, members(data) if packed else data, "a.json.gz" if packed else "a.json")
    assert found is problem
    assert [line for line, _ in lines] == [1]
    assert " ".join(lines[0][1].removeprefix(NOT_UTF_8).split()) == " ".join(text.split())


@pytest.mark.parametrize("text", [ARRAYS[0], ARRAYS[1], ARRAYS[3], OBJECTS[1]], ids=range(4))
def test_lines__of_one_json_value_larger_than_the_window__is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(documents, "WINDOW_BYTES", 60)
    monkeypatch.setattr(json_lines, "READ_BYTES", 10)
    monkeypatch.setattr(json_lines, "GZIP_READ_BYTES", 10)
    assert read(tmp_path, text.encode())[1] in {Problem.ONE_JSON_ARRAY, Problem.ONE_JSON_OBJECT}


@pytest.mark.parametrize("window", [20, 1 << 20])
@pytest.mark.parametrize(
    "first", ['{"n": ', "[", '{"n": [', '{"n": "', "[1, 2]", "[]", '[\n{"n": 1}', "{", "", "[{}\n,{}", '{"a":1},']
)
def test_lines__with_a_bad_one_first__cost_the_others_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, window: int
) -> None:
    monkeypatch.setattr(documents, "WINDOW_BYTES", window)
    lines, problem = read(tmp_path, f"{first}\n{A}\n{B}\n{C}".encode())
    assert [text for _, text in lines][-3:] == [A, B, C]
    assert problem is None


@pytest.mark.parametrize("size", [1, 7, 30, 1 << 20])
def test_lines__in_frames_of_every_size__have_the_numbers_of_the_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(json_lines, "FRAME_BYTES", size)
    monkeypatch.setattr(json_lines, "READ_BYTES", 5)
    monkeypatch.setattr(json_lines, "GZIP_READ_BYTES", 16)
    lines = [A, "", "x^", "x\x01", B, "  ", "\r", A + "\r", "{\u2028\x85\x0b", "\x00", "", C, "x\x9c"]
    expected = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip(" \r")]
    assert read(tmp_path, "\n".join(lines).encode()) == (expected, None)


def test_lines__before_reading_fails__are_there(tmp_path: Path) -> None:
    class Failing(LineReader):
        def _text(self) -> Iterator[Part]:
            yield f"{A}\n{B}\n".encode(), False
            raise OSError("the disk")

    frames = Failing(tmp_path / "a.jsonl").lines()
    assert next(frames).rows() == [(1, A), (2, B)]
    with pytest.raises(OSError, match="the disk"):
        next(frames)
