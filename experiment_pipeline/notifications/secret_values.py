"""Secrets of targets: read where a target says they are, just before they are used; no message holds one."""

import base64
import binascii
import os
import stat
from collections.abc import Mapping

from experiment_pipeline.domain.notification_targets import Target
from experiment_pipeline.errors import ConfigurationError

SECRET_PREFIX = "whsec_"  # noqa: S105 - of every secret, by the Standard Webhooks specification
SHORTEST_KEY = 24  # bytes, by the same
LONGEST_FILE = 16_384  # bytes


def url_of(target: Target, environ: Mapping[str, str]) -> str:
    """Return the URL of a target, which is a secret.

    Raises:
        ConfigurationError: the variable is not set, or the file cannot be read.
    """
    return _read(target, "url", environ)


def signing_keys(target: Target, environ: Mapping[str, str]) -> list[bytes]:
    """Return the keys that a webhook is signed with: one, or the old and the new one while they are exchanged.

    Raises:
        ConfigurationError: the variable is not set, the file cannot be read, or what it holds is no signing secret.
    """
    return [_key(target, text) for text in _read(target, "secret", environ).split()]


def _key(target: Target, text: str) -> bytes:
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(SECRET_PREFIX) or len(key) < SHORTEST_KEY:
        message = (
            f"The signing secret must be {SECRET_PREFIX} and at least {SHORTEST_KEY} random bytes in base64; two of "
            "them, with a space between, while they are exchanged. docs/notifications.md has how to make one."
        )
        raise _refused(target, "secret", message)
    return key


def _read(target: Target, name: str, environ: Mapping[str, str]) -> str:
    variable, file = getattr(target, f"{name}_env"), getattr(target, f"{name}_file")
    if variable is not None:
        found = environ.get(variable, "").strip()
        if not found:
            raise _refused(target, name, f"The environment variable {variable} is not set.")
        return found
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:  # a pipe would be waited for
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise _refused(target, name, f"{file} must be a regular file.")
            found = opened.read(LONGEST_FILE).decode().strip()
    except OSError as unreadable:
        raise _refused(target, name, f"{file} cannot be read: {unreadable.strerror}.") from None
    except UnicodeDecodeError:
        raise _refused(target, name, f"{file} must be text in UTF-8.") from None
    if not found:
        raise _refused(target, name, f"{file} is empty.")
    return found


def _refused(target: Target, name: str, message: str) -> ConfigurationError:
    field = f"{name}_env" if getattr(target, f"{name}_env") is not None else f"{name}_file"
    return ConfigurationError.of(f"notifications.{target.key}.{field}", message)
