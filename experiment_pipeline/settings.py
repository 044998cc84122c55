"""The process's settings: environment variables `EXPERIMENT_PIPELINE_*`, read once into one frozen object."""

import os
import re
from datetime import timedelta
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.setting_types import (
    Interval,
    Networks,
    Owners,
    Share,
    Size,
    StorageUrl,
    WarehouseUrl,
    WebAddress,
)
from experiment_pipeline.times import TimeZone

PREFIX = "EXPERIMENT_PIPELINE_"
# From 0 to 1; 0.9 is a letter or two off. REGISTRY_PORT, 0.8 like REGISTRY_URL, is a variable that Kubernetes sets.
TYPO_SIMILARITY = 0.9
# Delta decodes `%41` and takes a backslash for a slash; Dagster's SQLite takes `?` for the end of a path.
MISREAD_PATH = re.compile(r"%[0-9A-Fa-f]{2}|[?\\\x00-\x1f\x7f\ud800-\udfff]")  # the last: no UTF-8


class Settings(BaseSettings):
    """The settings of one installation. Paths are local; durations are ISO-8601 or seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    data_dir: Path = Field(default=Path("data"), description="root of landing zone, lake, artifacts and registry")
    registry_url: SecretStr | None = Field(default=None, description="SQLAlchemy URL; default: SQLite in data_dir")

    storage: StorageUrl | None = Field(default=None, description="of landing zone, lake and artifacts; else data_dir")

    public_url: WebAddress | None = Field(
        default=None,
        description="where people reach the API; Dagster's pages link to it",
        examples=["https://experiments.example.com"],
    )
    asset_owners: Owners = Field(
        default="team:experiments", description="of Dagster's assets, separated by commas: team:<name>, or an e-mail"
    )

    warehouse: WarehouseUrl = Field(
        default=SecretStr("duckdb"),
        description="where environments are analysed that name no warehouse: duckdb, or the URL of one, with its "
        "password: docs/engines.md",
        examples=["clickhouse://USER:PASSWORD@HOST/DATABASE"],
    )
    warehouse_timeout: Interval = Field(
        default=timedelta(minutes=10), ge=timedelta(seconds=1), description="of one statement in a warehouse"
    )
    warehouse_settle: Interval = Field(
        default=timedelta(minutes=5),
        ge=timedelta(0),
        description="how long after it was loaded a row is read: an earlier transaction may commit later, rule N4",
    )
    warehouse_byte_limit: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="of one statement, by the engine's estimate; one that reads more is refused, rule N5"
    )
    warehouse_write: bool = Field(
        default=False, description="whether first exposures are stored as tables in the warehouse, rule N3"
    )
    warehouse_unique_rows: bool = Field(
        default=False, description="whether each event has one row in the warehouse: nothing is deduplicated, rule N2"
    )
    duckdb_memory_limit: Size = Field(default="2GiB", description="DuckDB's memory before it spills to disk")
    duckdb_threads: int = Field(default=2, ge=1, le=1024, description="threads of one DuckDB connection")

    incremental_refresh: bool = Field(
        default=True, description="whether a refresh reads what is new alone, where that is exact and gains something"
    )
    incremental_from: int = Field(
        default=100_000, ge=0, description="events, or exposed identities, from which on that gains something"
    )
    incremental_audit_every: int = Field(
        default=50, ge=2, description="one refresh in so many reads everything, and compares; so does the last one"
    )

    refresh_min_interval: Interval = Field(default=timedelta(minutes=5), ge=timedelta(0), description="rule R2")
    finality_grace: Interval = Field(default=timedelta(hours=1), ge=timedelta(0), description="rule R6")
    lease_duration: Interval = Field(default=timedelta(minutes=5), gt=timedelta(0), description="rule R7")

    collector_origins: str = Field(
        default="*", description="web origins whose pages may send events, separated by commas; * is every one"
    )
    collector_buffer_bytes: int = Field(
        default=64 << 20, ge=11 << 20, description="of events in memory, read or waiting for the disk; more get a 503"
    )
    collector_environment_share: Share = Field(
        default=0.5, description="of that memory, at most, for one environment; a single body always fits"
    )
    collector_sender_share: Share = Field(
        default=0.5, description="and for one sender: an IPv4 address, or the /64 network of an IPv6 one"
    )
    collector_acknowledges: Literal["object", "spool"] = Field(
        default="object",
        description="with storage: 202 once events are in it, or on this machine's disk, on their way there",
    )
    collector_interval: Interval = Field(
        default=timedelta(seconds=0.2), ge=timedelta(0), description="with storage: events wait for others so long"
    )
    http_body_deadline: Interval = Field(
        default=timedelta(seconds=60), gt=timedelta(0), description="in which a request's body has to come"
    )
    http_body_rate: int = Field(
        default=1_024, ge=1, description="bytes a second that a body brings at least, after its first ten seconds"
    )
    http_head_deadline: Interval = Field(
        default=timedelta(seconds=10),
        gt=timedelta(0),
        description="in which a request's head has to come, and the rest of a body that is answered already",
    )
    http_connections: int = Field(
        default=1_000, ge=10, description="of one process; then the one that keeps it waiting longest is closed"
    )
    http_connections_per_sender: int = Field(
        default=500, ge=1, description="of one address to one process; listed proxies are exempt"
    )
    trusted_proxies: Networks = Field(
        default="127.0.0.1, ::1",
        description="proxies, separated by commas, whose X-Forwarded-For names the sender; or none",
    )
    http_key_rate: int = Field(
        default=500, ge=1, description="requests a second with one API key, of one process; more are answered 429"
    )
    http_key_burst: int = Field(
        default=1_000, ge=1, description="requests at once with one API key, after a pause; more are answered 429"
    )
    collector_environment_rate: int | None = Field(
        default=None,
        ge=1,
        description="requests with events a second, for one environment in one process; default: as many as come",
        examples=["200"],
    )
    tls_certificate: Path | None = Field(
        default=None, description="the server's certificate, in PEM; default: plain HTTP, for a proxy that has one"
    )
    tls_key: Path | None = Field(default=None, description="and its private key, in PEM, without a password")
    audit_admin_reads: bool = Field(
        default=False, description="whether the audit log says what was read with keys of scope admin"
    )
    http_keep_alive: Interval = Field(
        default=timedelta(seconds=75),
        gt=timedelta(0),
        description="how long an idle connection stays open; longer than a load balancer keeps its own (60 s)",
    )
    http_registry_wait: Interval = Field(
        default=timedelta(seconds=1),
        gt=timedelta(0),
        description="for a lock of the registry; then a request is answered 503, as after 2 s more without an answer",
    )
    landing_object_bytes: int = Field(default=32 << 20, ge=1, description="a landing object this large is published")
    landing_object_age: Interval = Field(
        default=timedelta(seconds=5),
        ge=timedelta(0),
        description="and so is one this old; finality waits for it, rule R6",
    )

    landing_timezone: TimeZone | None = Field(
        default=None,
        description="of timestamps without one; by default they are rejected",
        examples=["Europe/Paris", "UTC"],
    )

    ingestion_interval: Interval = Field(
        default=timedelta(seconds=30),
        ge=timedelta(0),
        description="between two ingestions, so that batches have a size",
    )
    automatic_runs: int = Field(
        default=4, ge=1, description="automatic refresh runs requested and not ended, rule R4; dagster.yaml runs two"
    )
    run_history: Interval = Field(
        default=timedelta(days=14),
        gt=timedelta(0),
        description="how long Dagster's finished runs and their logs stay, and closed requests for a refresh",
    )
    routine_run_history: Interval = Field(
        default=timedelta(days=1),
        gt=timedelta(0),
        description="and successful runs of routine: ingestion, compaction, refreshes that published nothing",
    )
    landing_keep: Interval | None = Field(
        default=None,
        ge=timedelta(days=1),
        description="how long a landing object stays after its batch is in the lake; default: for ever",
        examples=["P30D"],
    )
    removed_keep: Interval = Field(
        default=timedelta(days=30),
        ge=timedelta(days=1),
        description="how long removed rows stay in the lake, for the data versions before their removal; rule E6",
        examples=["P30D"],
    )

    minimum_identities: int = Field(default=50, ge=2, description="floor per arm before inference")
    minimum_conversions: int = Field(default=5, ge=1, description="floor per arm for occurrence metrics")
    minimum_nonzero: int = Field(
        default=150, ge=1, description="floor per arm for count, sum and mean metrics: identities that are not 0"
    )

    # Who comes often is the likeliest to see two variants. One in fifty hardly moves a mean; more can.
    health_quarantined_share: Share = Field(
        default=0.02, description="of the exposed identities, that saw several variants; more are a health finding"
    )
    # First exposures become fewer as an experiment goes on, and at weekends: not by half within a day.
    health_traffic_drop: Share = Field(
        default=0.5, description="of the weakest day of the week before; a day with less is a health finding"
    )
    # A rollout in the morning of the declared day is usual; a whole day without anybody is not, where there is traffic.
    health_uncovered_start: Interval = Field(
        default=timedelta(days=1),
        gt=timedelta(0),
        description="without any exposure after the start; longer is a health finding, rule X8",
    )
    # Exports and pulls run once a day at least; where nothing came for longer, the next result would be of old data.
    health_event_age: Interval = Field(
        default=timedelta(days=1),
        gt=timedelta(0),
        description="since the newest event of senders or of a source arrived; older is a health finding",
    )
    # A daily export brings an event a day late, and its own duration: two days are later than any routine.
    health_late_after: Interval = Field(
        default=timedelta(days=2),
        gt=timedelta(0),
        description="from an event to its landing; what takes longer is late",
    )
    # As rule E5 has it of unreadable values: one in a hundred can move a verdict.
    health_late_share: Share = Field(default=0.01, description="of events that land late; more are a health finding")
    # Purchases hardly ever come in the hour before; one in ten that do is an exposure that is sent too late.
    health_before_exposure_share: Share = Field(
        default=0.1, description="of a metric's events, in the hour before the exposure; more are a health finding"
    )
    # A few bad records are usual where many applications send; one in twenty is a sender that fails as a whole.
    health_rejected_share: Share = Field(
        default=0.05, description="of an environment's records, that are rejected; more are a health finding"
    )
    # Senders repeat what was not acknowledged, and such events count once; one in five is no lost answer.
    health_duplicate_share: Share = Field(
        default=0.2, description="of an environment's events, delivered before; more are a health finding"
    )

    @property
    def default_warehouse(self) -> str:
        """The engine of environments that name none, `duckdb` or a URL with its password: never log it."""
        return self.warehouse.get_secret_value()

    @property
    def owners(self) -> list[str]:
        """The owners of Dagster's assets."""
        return [each.strip() for each in self.asset_owners.split(",")]

    @property
    def landing_dir(self) -> Path:
        """The landing zone: events as immutable objects."""
        return self.data_dir / "landing"

    @property
    def lake_dir(self) -> Path:
        """The Delta tables: `events` and `rejected`."""
        return self.data_dir / "lake"

    @property
    def tables_dir(self) -> Path:
        """The Delta tables of all looks: `results`, `looks`, `exposures_timeseries`, `health`."""
        return self.data_dir / "tables"

    @property
    def artifacts_dir(self) -> Path:
        """The artifacts: one Parquet file per artifact and partition."""
        return self.data_dir / "artifacts"

    @property
    def spool_dir(self) -> Path:
        """The local landing zone of events on their way to the object storage, where they are acknowledged before."""
        return self.data_dir / "spool"

    @property
    def segments_dir(self) -> Path:
        """The local landing zone that collectors of this data directory write to."""
        return self.landing_dir if self.storage is None else self.spool_dir

    @property
    def spill_dir(self) -> Path:
        """The folder that DuckDB writes to when memory does not suffice."""
        return self.data_dir / "spill"

    @property
    def landing_zone_info(self) -> ZoneInfo | None:
        """The time zone of timestamps without one; None where they are rejected."""
        return ZoneInfo(self.landing_timezone) if self.landing_timezone is not None else None

    @property
    def dagster_home(self) -> Path:
        """The Dagster instance of commands that run jobs themselves."""
        return self.data_dir / "dagster"

    @property
    def database_url(self) -> str:
        """The registry's URL, password included: never log it."""
        if self.registry_url is not None:
            return self.registry_url.get_secret_value()
        return f"sqlite:///{quote(str(self.registry_file))}"

    @property
    def registry_file(self) -> Path | None:
        """The registry's file in the data directory, which may not exist yet; None where a URL names a database."""
        return None if self.registry_url is not None else (self.data_dir / "registry.sqlite").absolute()


def read_settings(data_dir: Path | None = None) -> Settings:
    """Return the settings of this process's environment.

    Args:
        data_dir: used in place of the variable's.

    Raises:
        ConfigurationError: names each variable at fault.
    """
    misspelt = _misspelt()
    if misspelt:
        raise ConfigurationError({name: [f"is no setting. Did you mean {meant}?"] for name, meant in misspelt.items()})
    try:
        found = Settings() if data_dir is None else Settings(data_dir=data_dir)
    except ValidationError as invalid:
        errors = {
            f"{PREFIX}{error['loc'][0]}".upper(): [f"{error['msg']}{_examples(str(error['loc'][0]))}"]
            for error in invalid.errors(include_url=False, include_input=False)
        }
        raise ConfigurationError(errors) from None
    _require_usable(found.data_dir)
    if (found.tls_certificate is None) != (found.tls_key is None):
        missing = "TLS_KEY" if found.tls_key is None else "TLS_CERTIFICATE"
        raise ConfigurationError.of(f"{PREFIX}{missing}", "is needed, too: certificate and key belong together.")
    return found


def _require_usable(data_dir: Path) -> None:
    """Raise ConfigurationError for a path that Delta or SQLite would read as another one."""
    path = os.path.realpath(data_dir)
    if found := MISREAD_PATH.search(path):
        message = (
            f"{found.group()!a} in {path!a}: its path may hold neither ?, \\, control characters, % before two "
            "hexadecimal digits, nor what is no UTF-8. Choose another folder."
        )
        raise ConfigurationError.of(f"{PREFIX}DATA_DIR", message)


def _examples(name: str) -> str:
    examples = Settings.model_fields[name].examples
    return f", e.g. {' or '.join(examples)}" if examples else ""


def _misspelt() -> dict[str, str]:
    """Return variables that resemble a setting, with the setting's variable.

    Variables of the prefix that do not resemble one may belong to others, such as those that Kubernetes sets.
    """
    known = [name.upper() for name in Settings.model_fields]
    given = [name for name in sorted(os.environ) if name.upper().startswith(PREFIX)]
    suggestions = {}
    for name in given:
        asked = name.upper().removeprefix(PREFIX)
        near = get_close_matches(asked, known, n=1, cutoff=TYPO_SIMILARITY)
        if near and near != [asked]:
            suggestions[name] = f"{PREFIX}{near[0]}"
    return suggestions


@cache
def settings() -> Settings:
    """Return the settings, read once at the first call."""
    return read_settings()
