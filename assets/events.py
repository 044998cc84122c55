"""Landing objects become one numbered batch of the events lake (rules E1-E8)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice

import dagster as dg

from experiment_pipeline.assets.columns import ROWS, column_schema
from experiment_pipeline.domain.sources import Source
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.domain.unknown_fields import UnknownFields
from experiment_pipeline.errors import UnsoundLake
from experiment_pipeline.lake.ingestion import IngestionReport, ingest
from experiment_pipeline.lake.inspection import partitions
from experiment_pipeline.lake.lake import Lake
from experiment_pipeline.lake.late_events import count_late_events
from experiment_pipeline.landing.ignored import NAMES_KEPT, IgnoredFiles
from experiment_pipeline.landing.problems import explanation
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.dagster_instance import report_late_events
from experiment_pipeline.resources.loaded_sources import LoadedSources
from experiment_pipeline.resources.refresh_session import RefreshSession
from experiment_pipeline.resources.warehouse import LakeResource
from experiment_pipeline.settings import Settings

OBJECTS_READABLE = dg.AssetCheckSpec(
    "landing_objects_readable", asset="events", description="Every landing object could be read to its end."
)
LAKE_SOUND = dg.AssetCheckSpec(
    "lake_is_sound", asset="events", description="The lake holds every batch that the registry knows, and no other."
)

SOURCES_LOADED = dg.AssetCheckSpec(
    "sources_are_loaded", asset="events", description="Every source that is declared has an asset, as it is declared."
)


@dg.asset(
    group_name="events",
    kinds={"deltalake"},
    check_specs=[OBJECTS_READABLE, LAKE_SOUND, SOURCES_LOADED],
    metadata=column_schema("events"),
)
def events(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    runs: dg.ResourceParam[RefreshSession],
    loaded_sources: dg.ResourceParam[LoadedSources],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Raw exposure and conversion events, validated, deduplicated and committed exactly once."""
    try:
        report = ingest_landed(context, lake, runs.registry, runs.settings)
    except UnsoundLake as unsound:
        yield lake_unsound(unsound)
        raise
    late = count_late_events(lake.open(), runs.registry.health)
    report_late_events(context.instance, runs.registry.health, late)
    judged = _judged(loaded_sources, runs.registry.sources.list())
    yield ingested(report, [results.partition_key for results in late], lake.open(), judged)


def ingest_landed(
    context: dg.AssetExecutionContext, lake: LakeResource, registry: Registry, settings: Settings
) -> IngestionReport:
    """Ingest what has landed and is in no batch yet. Raises UnsoundLake where the lake does not fit the registry."""
    now, age = datetime.now(UTC), settings.landing_object_age
    return ingest(
        lake.open(),
        registry.batches,
        lake.landing,
        now=now,
        on_progress=lambda progress: context.log.info(str(progress)),
        object_age=age,
        timezone=settings.landing_timezone,
        whole=registry.batches.awaits_listing(now - age, settings.finality_grace),
    )


def lake_unsound(unsound: UnsoundLake) -> dg.AssetCheckResult:
    """Return the failed check of a lake that does not fit its registry."""
    return dg.AssetCheckResult(check_name=LAKE_SOUND.name, passed=False, description=str(unsound))


def _judged(loaded: LoadedSources, declared: Sequence[Source]) -> dg.AssetCheckResult:
    """Return whether the assets are those of the sources that are declared now (rule D0)."""
    difference = loaded.difference(declared)
    return dg.AssetCheckResult(
        check_name=SOURCES_LOADED.name,
        passed=difference is None,
        severity=dg.AssetCheckSeverity.WARN,
        description=difference,
    )


def ingested(
    report: IngestionReport, late: Sequence[str], lake: Lake, *others: dg.AssetCheckResult
) -> dg.MaterializeResult[None]:
    """Return the counts of an ingestion and the outcomes of its checks.

    Args:
        report: of the ingestion.
        late: partitions of final experiments that events came for.
        lake: whose events are counted.
        others: outcomes of further checks of the asset.
    """
    readable = dg.AssetCheckResult(
        check_name=OBJECTS_READABLE.name,
        passed=not report.problems,
        metadata={"problems": _first(report.problems), "what_to_do": _what_to_do(report.problems.values())},
    )
    return dg.MaterializeResult(
        metadata={
            ROWS: sum(month.events for month in partitions(lake, datetime.now(UTC))),
            "batch": report.batch or "nothing had landed",
            "objects": report.objects,
            "accepted": report.accepted,
            "duplicates": report.duplicates,
            "removed": report.removed,
            "rejected": report.rejected,
            "unknown_fields": _counted(report.unknown_fields),
            "ignored": _named(report.ignored),
            "unreadable": _named(report.unreadable),
            "changed": _named(report.changed),
            "late_for": [*late[:NAMES_KEPT], *([f"and {len(late) - NAMES_KEPT} more"] if late[NAMES_KEPT:] else [])],
        },
        check_results=[readable, dg.AssetCheckResult(check_name=LAKE_SOUND.name, passed=True), *others],
    )


def _first(problems: Mapping[str, str]) -> dict[str, str | int]:
    """Return the first problems by the objects' names: the event log keeps what is shown, each time."""
    shown: dict[str, str | int] = {printable(name): what for name, what in islice(problems.items(), NAMES_KEPT)}
    return shown | {"and more": len(problems) - len(shown)} if len(problems) > len(shown) else shown


def _what_to_do(problems: Iterable[str]) -> dict[str, str]:
    return {problem.partition(":")[0]: explanation(problem) for problem in sorted(problems)}


def _counted(fields: UnknownFields) -> dict[str, int]:
    """Return the records that have each of the unknown fields, and how many more such fields there are."""
    records = {printable(name): records for name, records in fields.records.items()}
    return records | {"and more": fields.unnamed} if fields.unnamed > 0 else records


def _named(files: IgnoredFiles) -> dict[str, str | int]:
    """Return the reasons by name, and how many there are beside."""
    names: dict[str, str | int] = {each.name: each.reason.value for each in files.first}
    return names | {"and more": files.unnamed} if files.unnamed else names
