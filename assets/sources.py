"""One asset per declared source, upstream of `events` (rules D0, D4): it lands new rows, which `events` ingests."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import dagster as dg

from experiment_pipeline.assets.source_checks import check_specs, judge_lag, judge_rows
from experiment_pipeline.assets.source_metadata import LastPull, PullReport
from experiment_pipeline.domain.source_ranges import SourceRange
from experiment_pipeline.domain.source_schedules import cron_of
from experiment_pipeline.domain.sources import Source
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import ExperimentPipelineError, RegistryUnavailable
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.refresh_session import RefreshSession
from experiment_pipeline.resources.retries import requesting_retry
from experiment_pipeline.resources.warehouse import LakeResource
from experiment_pipeline.sources.pull import Pull, open_ranges
from experiment_pipeline.sources.row_profile import RowProfile

GROUP = "sources"
EVENTS = dg.AssetKey("events")


def with_sources(modules: Iterable[ModuleType], sources: Sequence[Source]) -> list[dg.AssetsDefinition]:
    """Return the assets of the pipeline's modules and those of the sources, which `events` depends on."""
    assets = [each for each in dg.load_assets_from_modules(modules) if isinstance(each, dg.AssetsDefinition)]
    keys = [key_of(each.key) for each in sources]
    own = {key for each in assets for key in each.keys} | set(keys)

    def downstream(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.merge_attributes(deps=keys) if spec.key == EVENTS else spec

    if not sources:
        return assets
    return [*(each.map_asset_specs(downstream) for each in assets), *(source_asset(each, own) for each in sources)]


def key_of(source: str) -> dg.AssetKey:
    """Return the key of a source's asset."""
    return dg.AssetKey([GROUP, source])


def source_asset(source: Source, own: Iterable[dg.AssetKey] = ()) -> dg.AssetsDefinition:
    """Return the asset of a source.

    Args:
        source: as it was declared when the code location was loaded; what is read is declared when it is read.
        own: keys of the pipeline, which come after the source: `upstream` says nothing by them.
    """
    upstream = list(dict.fromkeys(dg.AssetKey.from_user_string(name) for name in source.upstream))

    @dg.asset(
        key=key_of(source.key),
        group_name=GROUP,
        deps=[key for key in upstream if key not in set(own)],
        description=f"Rows of the source {source.key}, which become events of {source.environment_key}.",
        kinds={"files" if source.files is not None else "database"},
        check_specs=check_specs(key_of(source.key), source),
        automation_condition=condition_of(source),
    )
    def rows(
        context: dg.AssetExecutionContext, lake: LakeResource, runs: dg.ResourceParam[RefreshSession]
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        yield from AssetPull(context, runs.registry, lake, source.key).results()

    return rows


def condition_of(source: Source) -> dg.AutomationCondition[Any] | None:
    """Return when a source is read: as often as `every` says, after its upstream, and first when it is declared."""
    if source.every is None and not source.upstream:
        return None
    wanted: dg.AutomationCondition[Any] = (
        dg.AutomationCondition.newly_missing() | dg.AutomationCondition.any_deps_updated()
    )
    if source.every is not None:
        wanted |= dg.AutomationCondition.cron_tick_passed(cron_of(source.every))
    # Not `since_last_handled`: a pull that is under way may have passed what its upstream brings meanwhile.
    return wanted.since(dg.AutomationCondition.newly_requested()) & ~dg.AutomationCondition.in_progress()


@dataclass(frozen=True, slots=True)
class AssetPull:
    """The pull of one source in a run."""

    context: dg.AssetExecutionContext
    registry: Registry
    lake: LakeResource
    key: str

    def results(self) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """Yield the materialisation with its checks. What had landed before stays where a pull fails.

        Raises:
            dagster.Failure: the source is not what it was declared to be, or cannot be reached.
        """
        with requesting_retry(self.context.retry_number):
            source = self.registry.sources.find(self.key)
            last = LastPull.of(self.context.instance, self.context.asset_key)
            profile = RowProfile(source)
        try:
            landed = self._landed(source, profile)
        except (dg.RetryRequested, RegistryUnavailable):
            raise
        except ExperimentPipelineError as failed:
            yield from judge_lag(source, last.newest_event, datetime.now(UTC))
            raise dg.Failure(description=printable(str(failed)), allow_retries=False) from None
        progress = self.registry.source_ranges.progress().get(source.key)
        report = PullReport(source, profile, landed, last, progress, datetime.now(UTC))
        yield dg.MaterializeResult(
            metadata=report.metadata,
            check_results=[
                *judge_lag(source, report.newest_event, report.now),
                *judge_rows(source, profile, last),
            ],
        )

    def _landed(self, source: Source, profile: RowProfile) -> list[SourceRange]:
        def tell(planned: SourceRange, rows: int) -> None:
            self.context.log.debug("Range %s: %s rows more", planned.number, rows)

        with requesting_retry(self.context.retry_number):
            ranges = open_ranges(source, self.registry.connections.of(source), os.environ)
            ledger, landing = self.registry.source_ranges, self.lake.landing
            return Pull(source, ranges, ledger, landing, lambda: datetime.now(UTC), tell, profile).run()
