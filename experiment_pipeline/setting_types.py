"""Types of settings: texts of environment variables, each with what it may be."""

import re
from datetime import timedelta
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from experiment_pipeline.times import Duration

OWNER = re.compile(r"team:[A-Za-z0-9_-]+|[^@\s,:]+@[^@\s,:]+\.[^@\s,:]+")  # as Dagster takes them
SECONDS = re.compile(r"[+-]?\d{1,9}(\.\d{1,6})?", re.ASCII)

Size = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(MB|GB|MiB|GiB)$", examples=["512MiB", "2GiB"])]


def _from_seconds(text: object) -> object:
    """Return a number of seconds as a duration: a variable is text, and in JSON such text is refused."""
    return timedelta(seconds=float(text)) if isinstance(text, str) and SECONDS.fullmatch(text) else text


Interval = Annotated[Duration, BeforeValidator(_from_seconds), Field(examples=["90", "PT1H30M"])]


def _networks(text: str) -> str:
    for each in text.split(",") if text != "none" else ():
        try:
            ip_network(each.strip())
        except ValueError:
            raise ValueError(f"{each.strip()!r} is neither an IP address nor a network") from None
    return text


Networks = Annotated[str, AfterValidator(_networks), Field(examples=["10.0.0.7, 192.168.0.0/16"])]


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("must be an http or https address, without a password, a query or a fragment")  # none is shown
    return text.rstrip("/")


WebAddress = Annotated[str, AfterValidator(_web_address)]


def _owners(text: str) -> str:
    for each in map(str.strip, text.split(",")):
        if not OWNER.fullmatch(each):
            raise ValueError(f"{each!r} is neither team:<name> nor an e-mail address")
    return text


Owners = Annotated[str, AfterValidator(_owners), Field(examples=["team:growth, ada@example.com"])]


def _warehouse(text: SecretStr) -> SecretStr:
    if text.get_secret_value() != "duckdb" and "://" not in text.get_secret_value():
        raise ValueError("must be duckdb, or the URL of a warehouse")  # it is not shown: it may hold a password
    return text


WarehouseUrl = Annotated[SecretStr, AfterValidator(_warehouse)]
StorageUrl = Annotated[
    str,
    Field(pattern=r"^(s3|gs|az)://[a-z0-9][a-z0-9._-]{1,62}(/[A-Za-z0-9._-]+)*/?$", examples=["s3://bucket/prefix"]),
]
Share = Annotated[float, Field(gt=0, le=1, examples=["0.25"])]
