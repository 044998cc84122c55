"""Secrets are read from variables or files, and no message holds one."""

import base64
import os
from pathlib import Path

import pytest

from experiment_pipeline.domain.notification_targets import Target
from experiment_pipeline.domain.notifications import TargetKind
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.notifications.secret_values import signing_keys, url_of

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


def target(**changes: str) -> Target:
    return Target(key="team", kind=TargetKind.WEBHOOK, **changes)  # type: ignore[arg-type]


def test_secret__of_a_variable_or_a_file__is_read(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f" {SECRET}\n")
    assert signing_keys(target(secret_file=str(file)), {}) == [KEY]
    assert signing_keys(target(secret_env="SECRET"), {"SECRET": f"{SECRET} {SECRET}"}) == [KEY, KEY]
    assert url_of(target(url_env="URL"), {"URL": "https://example.com/a\n"}) == "https://example.com/a"


@pytest.mark.parametrize("text", ["planted-hunter2", "whsec_planted", f"whsec_{base64.b64encode(bytes(23)).decode()}"])
def test_signing_keys__that_are_none__are_refused_without_showing_them(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"notifications\.team\.secret_env: The signing secret must be") as no:
        signing_keys(target(secret_env="SECRET"), {"SECRET": text})
    assert text not in str(no.value)


def test_file__that_cannot_be_read__is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, message in (
        ("none", "cannot be read: No such file"),
        ("empty", "is empty"),
        ("binary", "UTF-8"),
        ("pipe", "must be a regular file"),
    ):
        with pytest.raises(ConfigurationError, match=rf"notifications\.team\.url_file: .*{name} {message}|{message}"):
            url_of(target(url_file=str(tmp_path / name)), {})
