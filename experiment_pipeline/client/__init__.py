"""A client of published results, over HTTP or over a data directory. Its public names are these.

from experiment_pipeline.client import Client

with Client("http://127.0.0.1:8000", key) as client:
    frame = client.results("one_page_checkout").to_polars()
"""

from experiment_pipeline.client.client import Client, Refresh
from experiment_pipeline.client.errors import (
    ClientError,
    Forbidden,
    NoAnswer,
    NotConnected,
    NotRefreshed,
    RefreshFailed,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)
from experiment_pipeline.client.published import Breakdowns, Exposures, Finding, Health, Looks, Results
from experiment_pipeline.errors import ConfigurationError, Conflict, Final, NotFound, NotStarted, Throttled

__all__ = [
    "Breakdowns",
    "Client",
    "ClientError",
    "ConfigurationError",
    "Conflict",
    "Exposures",
    "Final",
    "Finding",
    "Forbidden",
    "Health",
    "Looks",
    "NoAnswer",
    "NotConnected",
    "NotFound",
    "NotRefreshed",
    "NotStarted",
    "Refresh",
    "RefreshFailed",
    "Results",
    "Throttled",
    "TimedOut",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
]
