"""Components of Dagster: experiments inside a team's own project (docs/dagster.md).

    type: experiment_pipeline.ExperimentsComponent
    attributes:
      warehouse: duckdb                          # key of a DuckDBResource of the project
      exposures:
        - name: flag_exposures
          asset: analytics/fct_exposures
          table: analytics.fct_exposures
          as: {feature: {column: experiment}, variant: variation, identifier: user_id, timestamp: exposed_at}
      events:
        - name: orders
          asset: analytics/fct_orders
          table: analytics.fct_orders
          as: {event: purchased, identifier: user_id, timestamp: ordered_at, value: amount}
      declarations: experiments.yaml             # metrics and experiments, as `experiment-pipeline apply` reads them

They claim nothing global (P1): no resource, no executor, no key but those of their own assets. A run reads the tables
into the component's own state, computes every selected experiment in one step, and reports each partition's
materialisation and checks (P2). `translation`, or a subclass with its own `get_asset_spec`, changes everything about an
asset; `execute` can be overridden, too.
"""

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import dagster as dg
from dagster._core.definitions.definitions_load_context import DefinitionsLoadContext, DefinitionsLoadType
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver
from pydantic import ConfigDict, Field, PrivateAttr

from experiment_pipeline import logs
from experiment_pipeline.assets.columns import column_schema
from experiment_pipeline.automation.component.event_lake import EventLakeComponent
from experiment_pipeline.automation.component.events import RESULTS, STAGE_ASSETS, Event, check_specs
from experiment_pipeline.automation.component.fields import ConnectionFields, RegistryFields, ResultsFields, TableFields
from experiment_pipeline.automation.component.freshness import freshness_specs
from experiment_pipeline.automation.component.manifest import ComponentManifest, explained
from experiment_pipeline.automation.component.registry_sensors import partitions_sensor, requests_sensor
from experiment_pipeline.automation.component.results import results_definition
from experiment_pipeline.automation.component.results_databases import DuckDBResults
from experiment_pipeline.automation.component.run import ExperimentsRun
from experiment_pipeline.automation.component.scaffolder import ExperimentsScaffolder
from experiment_pipeline.automation.component.state import ComponentState
from experiment_pipeline.errors import ConfigurationError, ExperimentPipelineError

__all__ = ["EventLakeComponent", "ExperimentAsset", "ExperimentsComponent"]
GROUP = "experiments"
DESCRIPTIONS = {
    "first_exposures": "One row per identity: its first variant and time, and whether it saw several variants.",
    "exposure_buckets": "New identities by hour or day and variant (rule X4).",
    "exposures": "Exposed identities over time (rule X7).",
    "variant_aggregates": "Moments of every metric in every variant (rules M2-M5).",
    "srm": "Whether identities split as configured: fixed-sample and anytime-valid test (rules S1-S3).",
    "bayesian_results": "Each treatment against control on each metric: effect, lift, chance to win, expected loss.",
    RESULTS: "Results of experiments: one row per experiment, metric, treatment and look.",
}
UPSTREAM = {
    "exposure_buckets": ("first_exposures",),
    "exposures": ("exposure_buckets",),
    "variant_aggregates": ("first_exposures",),
    "srm": ("first_exposures",),
    "bayesian_results": ("variant_aggregates", "srm"),
    RESULTS: ("bayesian_results",),
}


@dataclass(frozen=True)
class ExperimentAsset:
    """One asset of the component, as `get_asset_spec` and `translation` get it.

    Attributes:
        name: `experiment_results`, or of `assets: chain` the name of a step.
        experiments: the keys of the experiments, its partitions; empty where a registry has them.
    """

    name: str
    experiments: tuple[str, ...]


@dg.scaffold_with(ExperimentsScaffolder)
class ExperimentsComponent(dg.Component, dg.Model, dg.Resolvable):
    """Results of A/B experiments from tables that the project has: exposures and events in, verdicts out.

    One asset, `experiment_results`, with a partition per experiment. Materialising a range of them is one run with one
    step. Health checks, such as that of the split, are asset checks of each partition.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    exposures: Annotated[
        list[TableFields],
        dg.Resolver.default(description="Tables of who saw which variant of a flag, and when."),
    ] = Field(default_factory=list)
    events: Annotated[
        list[TableFields],
        dg.Resolver.default(description="Tables of what people did, which metrics are made of."),
    ] = Field(default_factory=list)
    event_lake: Annotated[
        dg.ResolvedAssetKey | None,
        dg.Resolver.default(
            description="The asset of an EventLakeComponent with the same `state` and `registry`, from whose lake the "
            "experiments are computed.",
            examples=["events"],
        ),
    ] = None
    declarations: Annotated[
        str | None,
        dg.Resolver.default(
            description="A YAML file of metrics and experiments, relative to the component's folder. Without it the "
            "experiments are those of the registry.",
            examples=["experiments.yaml"],
        ),
    ] = None
    warehouse: Annotated[
        str | None,
        dg.Resolver.default(
            description="The key of a DuckDBResource of the project, or one of `connections`: where tables are that "
            "name no other place.",
            examples=["duckdb"],
        ),
    ] = None
    connections: Annotated[
        dict[str, ConnectionFields],
        dg.Resolver.default(description="Databases and files that are no resources of the project, by name."),
    ] = Field(default_factory=dict)
    results: Annotated[
        ResultsFields,
        dg.Resolver.default(description="The asset of the results, and a table that they are written to."),
    ] = Field(default_factory=ResultsFields)
    assets: Annotated[
        Literal["results", "chain"],
        dg.Resolver.default(
            description="results: one asset; chain: one per step, from first_exposures to the results."
        ),
    ] = "results"
    automation: Annotated[
        dg.AutomationCondition[Any] | None,
        dg.Resolver.default(
            model_field_type=str | None,
            description="When results are computed by themselves; Dagster's automation sensor has to be turned on.",
            examples=["{{ automation_condition.eager() }}"],
        ),
    ] = None
    translation: Annotated[
        TranslationFn[ExperimentAsset] | None,
        TranslationFnResolver[ExperimentAsset](lambda data: {"asset": data, "name": data.name}),
    ] = None
    state: Annotated[
        str | None,
        dg.Resolver.default(
            description="A folder that lasts, relative to the component's: registry, lake and artifacts. By default "
            "$DAGSTER_HOME/experiments/KEY."
        ),
    ] = None
    registry: Annotated[
        RegistryFields | None,
        dg.Resolver.default(description="The database of declarations and looks; SQLite in `state` by default."),
    ] = None

    sensors: Annotated[
        Literal["stopped", "running"],
        dg.Resolver.default(
            description="Whether the sensors run that add a registry's experiments as partitions and serve refresh "
            "requests."
        ),
    ] = "stopped"

    _folder: Path = PrivateAttr(default=Path())

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """Return what `dg list components` and Dagster's component pages tell of it."""
        return dg.ComponentTypeSpec(tags=["experiments", "statistics"], produces=["asset", "asset_check"])

    def get_asset_spec(self, asset: ExperimentAsset) -> dg.AssetSpec:
        """Return the spec of one asset. Override it to change key, group, owners, tags, partitions or anything else."""
        is_results = asset.name == RESULTS
        key = dg.AssetKey.from_user_string(self.results.key) if is_results else dg.AssetKey(asset.name)
        spec = dg.AssetSpec(
            key,
            deps=self._upstream() if asset.name == self._asset_names()[0] else [],
            description=DESCRIPTIONS[asset.name],
            group_name=GROUP,
            kinds={"duckdb"},
            automation_condition=self.automation,
            partitions_def=self._partitions(asset.experiments),
            metadata=results_definition(self.results.table) if is_results else column_schema(asset.name),
        )
        return spec if self.translation is None else self.translation(spec, asset)

    def execute(self, context: dg.AssetExecutionContext) -> Iterator[Event]:
        """Read the tables, compute each partition of the run, and yield what happened to it.

        Override it to do something before or after: `yield from super().execute(context)`.
        """
        specs = {each.key: each for each in context.assets_def.specs}
        run = ExperimentsRun(
            context=context,
            manifest=self._manifest(),
            state=self._state(),
            keys=dict(zip(self._asset_names(), specs, strict=True)),
            warehouse=self._resource(context),
            table=ComponentState.own_table(self.results.table),
            connection=self.warehouse if self.warehouse in self.connections else None,
        )
        logs.configure_unless_configured()
        yield from run.events()

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the component's assets and checks, and nothing else.

        Raises:
            dagster.DagsterInvalidDefinitionError: the declarations or the tables break a rule; names field and line.
        """
        self._folder = context.path if context.path.is_dir() else context.path.parent
        try:
            experiments = self._declared()
        except ExperimentPipelineError as error:
            raise dg.DagsterInvalidDefinitionError(explained(error)) from None
        assets = self._assets(experiments)
        if self.declarations is not None:
            return dg.Definitions(assets=[assets])
        status = dg.DefaultSensorStatus[self.sensors.upper()]
        sensors = [make(self._name, self._state(), assets, status) for make in (partitions_sensor, requests_sensor)]
        return dg.Definitions(assets=[assets], sensors=sensors)

    def _assets(self, experiments: tuple[str, ...]) -> dg.AssetsDefinition:
        """Return the assets, which one step makes, for one partition or for a range of them."""
        with warnings.catch_warnings():
            # Partitioned checks are what keeps one experiment's pass out of the place of another's failure.
            warnings.filterwarnings("ignore", message=".*partitions_def.*", category=dg.PreviewWarning)
            specs = self._specs(experiments)
            keys = {name: spec.key for name, spec in specs.items()}
            checks = check_specs(keys, {name: spec.partitions_def for name, spec in specs.items()})
            checks += freshness_specs([*self.exposures, *self.events], keys[RESULTS])

            @dg.multi_asset(
                name=self._name,
                specs=list(specs.values()),
                check_specs=checks,
                backfill_policy=dg.BackfillPolicy.single_run(),
                required_resource_keys=self._resource_keys(),
            )
            def experiments_of_component(context: dg.AssetExecutionContext) -> Iterator[Any]:
                yield from self.execute(context)
                for check in context.selected_asset_check_keys:  # their outcomes were yielded, one per partition
                    yield dg.Output(None, context.assets_def.get_output_name_for_asset_check_key(check))

            return experiments_of_component

    def _specs(self, experiments: tuple[str, ...]) -> dict[str, dg.AssetSpec]:
        """Return the specs of the assets that are shown, by the names that stages have for them."""
        specs = {name: self.get_asset_spec(ExperimentAsset(name, experiments)) for name in self._asset_names()}
        upstream = {name: [specs[each].key for each in UPSTREAM.get(name, ()) if each in specs] for name in specs}
        return {
            name: spec.merge_attributes(deps=upstream[name]).replace_attributes(skippable=True)
            for name, spec in specs.items()
        }

    def _asset_names(self) -> tuple[str, ...]:
        return STAGE_ASSETS if self.assets == "chain" else (RESULTS,)

    def _upstream(self) -> list[dg.AssetKey]:
        upstream = [*(each.asset for each in (*self.exposures, *self.events)), self.event_lake]
        return list(dict.fromkeys(key for key in upstream if key is not None))

    def _partitions(self, experiments: tuple[str, ...]) -> dg.PartitionsDefinition[str]:
        if self.declarations is None:
            return dg.DynamicPartitionsDefinition(name=self._name)
        return dg.StaticPartitionsDefinition(list(experiments))

    def _declared(self) -> tuple[str, ...]:
        """Return the keys of the declared experiments, held to every rule where Dagster loads the code location."""
        manifest = self._manifest()
        if self.results.table is not None and self.warehouse is None:
            message = "Must be left out, or warehouse must be given: a DuckDBResource, or one of connections."
            raise ConfigurationError.of("results.table", message)
        is_run = DefinitionsLoadContext.get().load_type is DefinitionsLoadType.RECONSTRUCTION
        read = manifest.read() if is_run else manifest.check()
        if self.declarations is not None and not read.experiments:
            raise ConfigurationError.of("declarations", f"{self.declarations} declares no experiments.")
        return tuple(read.experiments)

    def _manifest(self) -> ComponentManifest:
        return ComponentManifest(
            folder=self._folder,
            tables={"exposures": self.exposures, "events": self.events},
            connections=self.connections,
            warehouse=self.warehouse,
            declarations=None if self.declarations is None else self._folder / self.declarations,
        )

    def _state(self) -> ComponentState:
        folder = None if self.state is None else (self._folder / self.state).absolute()
        return ComponentState(self._name, folder, None if self.registry is None else self.registry.url_env)

    def _resource_keys(self) -> set[str]:
        is_used = self._manifest().needs_resource or self.results.table is not None
        is_resource = self.warehouse is not None and self.warehouse not in self.connections
        return {self.warehouse} if is_used and is_resource and self.warehouse is not None else set()

    def _resource(self, context: dg.AssetExecutionContext) -> DuckDBResults | None:
        for key in self._resource_keys():
            return DuckDBResults(key, getattr(context.resources, key))
        return None

    @property
    def _name(self) -> str:
        """The name of the step, of the folder of the state, and of dynamic partitions: the key of the results."""
        return re.sub(r"[^A-Za-z0-9_]", "_", self.results.key.replace("/", "__"))
