"""Landing objects become one numbered batch of the events lake (rules E1-E8)."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from experiment_pipeline.lake.ingestion import ingest
from experiment_pipeline.resources.refresh_session import RefreshSession
from experiment_pipeline.resources.warehouse import LakeResource

OBJECTS_READABLE = dg.AssetCheckSpec(
    "landing_objects_readable", asset="events", description="Every landing object could be read to its end."
)


@dg.asset(group_name="events", kinds={"deltalake"}, check_specs=[OBJECTS_READABLE])
def events(
    context: dg.AssetExecutionContext, lake: LakeResource, runs: dg.ResourceParam[RefreshSession]
) -> Iterator[dg.MaterializeResult[None]]:
    """Raw exposure and conversion events, validated, deduplicated and committed exactly once."""
    report = ingest(
        lake.open(),
        runs.registry,
        lake.landing,
        now=datetime.now(UTC),
        on_progress=lambda progress: context.log.info(str(progress)),
        object_age=runs.settings.landing_object_age,
    )
    yield dg.MaterializeResult(
        metadata={
            "batch": report.batch or "nothing had landed",
            "objects": report.objects,
            "accepted": report.accepted,
            "duplicates": report.duplicates,
            "rejected": report.rejected,
        },
        check_results=[dg.AssetCheckResult(passed=not report.problems, metadata={"problems": report.problems})],
    )
