"""The component of the events lake: a collector's landing zone in, validated events out, exactly once (P4)."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver
from pydantic import ConfigDict, PrivateAttr

from experiment_pipeline import logs
from experiment_pipeline.assets.columns import column_schema
from experiment_pipeline.assets.events import LAKE_SOUND, OBJECTS_READABLE, ingest_landed, ingested, lake_unsound
from experiment_pipeline.automation.component.fields import RegistryFields
from experiment_pipeline.automation.component.scaffolder import EventLakeScaffolder
from experiment_pipeline.automation.component.state import ComponentState, reading_tables
from experiment_pipeline.errors import UnsoundLake
from experiment_pipeline.lake.late_events import count_late_events
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.resources.warehouse import lake_resource

Result = dg.MaterializeResult[None] | dg.AssetCheckResult


@dg.scaffold_with(EventLakeScaffolder)
class EventLakeComponent(dg.Component, dg.Model, dg.Resolvable):
    """Events that a collector or a flag SDK has sent: read from the landing zone, validated, stored exactly once.

    One asset, `events`. An `ExperimentsComponent` with the same `state` and `registry`, and without tables of its own,
    computes from it.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    state: Annotated[
        str,
        dg.Resolver.default(
            description="The data directory: landing zone, lake and, by default, registry; relative to the component's "
            "folder.",
            examples=["/srv/experiments"],
        ),
    ]
    key: Annotated[str, dg.Resolver.default(description="The key of the asset; `translation` can change it.")] = (
        "events"
    )
    automation: Annotated[
        dg.AutomationCondition[Any] | None,
        dg.Resolver.default(
            model_field_type=str | None,
            description="When events are ingested by themselves; Dagster's automation sensor has to be turned on.",
            examples=["{{ automation_condition.on_cron('*/5 * * * *') }}"],
        ),
    ] = None
    translation: Annotated[
        TranslationFn[str] | None, TranslationFnResolver[str](lambda name: {"asset": name, "name": name})
    ] = None
    registry: Annotated[
        RegistryFields | None,
        dg.Resolver.default(description="The database of declarations and batches; SQLite in `state` by default."),
    ] = None

    _folder: Path = PrivateAttr(default=Path())

    def get_asset_spec(self, name: str) -> dg.AssetSpec:
        """Return the spec of the asset. Override it to change key, group, owners, tags or anything else."""
        spec = dg.AssetSpec(
            dg.AssetKey.from_user_string(self.key),
            description="Raw exposure and conversion events, validated, deduplicated and committed exactly once.",
            group_name="events",
            kinds={"deltalake"},
            metadata=column_schema("events"),
            automation_condition=self.automation,
        )
        return spec if self.translation is None else self.translation(spec, name)

    def execute(self, context: dg.AssetExecutionContext) -> Iterator[Result]:
        """Ingest what has landed, and yield the materialisation with its checks.

        Raises:
            UnsoundLake: lake and registry do not fit; nothing was ingested.
        """
        logs.configure_unless_configured()
        settings = ComponentState(
            self._name, (self._folder / self.state).absolute(), self._registry_variable
        ).settings()
        with closing(Registry.open(settings.database_url)) as registry, reading_tables(settings.data_dir):
            lake = lake_resource(settings)
            try:
                report = ingest_landed(context, lake, registry, settings)
            except UnsoundLake as unsound:
                yield lake_unsound(unsound)
                raise
            late = count_late_events(lake.open(), registry.health)
            yield ingested(report, [results.partition_key for results in late], lake.open())

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the component's asset and its checks, and nothing else."""
        self._folder = context.path if context.path.is_dir() else context.path.parent
        spec = self.get_asset_spec("events")
        checks = [
            dg.AssetCheckSpec(each.name, asset=spec.key, description=each.description)
            for each in (OBJECTS_READABLE, LAKE_SOUND)
        ]

        @dg.multi_asset(name=self._name, specs=[spec], check_specs=checks)
        def event_lake(context: dg.AssetExecutionContext) -> Iterator[Any]:
            yield from self.execute(context)

        return dg.Definitions(assets=[event_lake])

    @property
    def _name(self) -> str:
        return re.sub(r"[^A-Za-z0-9_]", "_", self.key.replace("/", "__"))

    @property
    def _registry_variable(self) -> str | None:
        return None if self.registry is None else self.registry.url_env
