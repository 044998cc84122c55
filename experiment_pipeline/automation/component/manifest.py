"""The manifest of a component: its declarations file and its tables, held to every rule while Dagster loads it (P5)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from experiment_pipeline.automation.component.fields import ConnectionFields, TableFields
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.sources import DUCKDB, Source
from experiment_pipeline.domain.texts import printable, quoted, suggestion
from experiment_pipeline.errors import ConfigurationError, ExperimentPipelineError
from experiment_pipeline.registry.manifests import Difference
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.schemas.manifest_lines import naming_lines
from experiment_pipeline.schemas.manifests import Manifest, load_content, manifest_of
from experiment_pipeline.times import parse_duration

ENVIRONMENT = "production"  # of declarations that name none
ACTOR = "dagster:component"
KINDS = ("exposures", "events")  # of tables, as the component's fields are called


@dataclass(frozen=True, slots=True)
class ComponentManifest:
    """The declarations and tables of a component.

    Attributes:
        folder: where relative paths begin.
        tables: by kind, `exposures` and `events`.
        connections: by name, beside the warehouse.
        warehouse: the resource or the connection of tables that name none.
        declarations: the file of metrics and experiments; None where they are in the registry already.
    """

    folder: Path
    tables: Mapping[str, Sequence[TableFields]]
    connections: Mapping[str, ConnectionFields]
    warehouse: str | None
    declarations: Path | None

    @property
    def needs_resource(self) -> bool:
        """Whether a table is in the warehouse that is a resource of the project."""
        if self.warehouse is None or self.warehouse in self.connections:
            return False
        return any(each.files is None and each.connection is None for each in self.every_table)

    @property
    def every_table(self) -> list[TableFields]:
        """The tables of both kinds."""
        return [table for kind in KINDS for table in self.tables.get(kind, ())]

    def read(self, warehouse_url: str = DUCKDB) -> Manifest:
        """Return the manifest.

        Args:
            warehouse_url: of the warehouse that is a resource; known once a run has it.

        Raises:
            ConfigurationError: names the field, and the line of the declarations.
        """
        text = self._text()
        with self._naming(text):
            content = load_content(text) if text.strip() else {}
            content.setdefault("environments", {ENVIRONMENT: {}})
            self._add(content, "connections", self._connections(warehouse_url))
            self._add(content, "sources", self._sources())
            return manifest_of(content, folder=self.folder)

    def check(self) -> Manifest:
        """Return the manifest, held to every rule that applying it and computing from its tables would be held to.

        Raises:
            ConfigurationError: names the field, and the line of the declarations.
        """
        manifest = self.read()
        text = self._text()
        with closing(Registry.open("sqlite://")) as registry:
            self.apply(registry, manifest)
            with self._naming(text):
                _require_given(registry.experiments.list(), registry.sources.list())
        return manifest

    def apply(self, registry: Registry, manifest: Manifest) -> list[Difference]:
        """Bring a registry to what is declared; the same again changes nothing.

        Raises:
            ConfigurationError: names the field, and the line of the declarations.
        """
        with self._naming(self._text()):
            return registry.manifests.apply(manifest, actor=ACTOR, now=datetime.now(UTC))

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Name the fields of an error in the block as they are written."""
        with self._naming(self._text()):
            yield

    def _text(self) -> str:
        if self.declarations is None:
            return ""
        try:
            return self.declarations.read_text("utf-8")
        except FileNotFoundError:
            raise ConfigurationError.of(
                "declarations", f"There is no file {printable(str(self.declarations))}."
            ) from None
        except UnicodeDecodeError:
            raise ConfigurationError.of("declarations", f"{self.declarations.name} must be UTF-8 text.") from None

    def _connections(self, warehouse_url: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            key: each.model_dump(exclude_none=True, include={"url_env", "url"})
            for key, each in self.connections.items()
        }
        if self.needs_resource:
            found[self.warehouse or ""] = {"url": warehouse_url}
        return found

    def _sources(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for kind in KINDS:
            for table in self.tables.get(kind, ()):
                if table.name in found:
                    message = f"Two tables have the name {quoted(table.name)}: give one of them another."
                    raise ConfigurationError.of(f"{kind}.{table.name}.name", message)
                _check_table(table, f"{kind}.{table.name}", self.warehouse)
                found[table.name] = table.declared(self.warehouse)
        return found

    @staticmethod
    def _add(content: dict[Any, Any], noun: str, entries: dict[str, Any]) -> None:
        """Add entries to those that the declarations have themselves."""
        declared = content.get(noun) or {}
        if isinstance(declared, dict):
            for key in entries:
                if key in declared:
                    message = f"The declarations have one of the name {quoted(key)}, and so has the component."
                    raise ConfigurationError.of(f"{noun}.{key}", message)
            content[noun] = {**declared, **entries}

    @contextmanager
    def _naming(self, text: str) -> Iterator[None]:
        """Name fields as they are written: tables by kind, and declarations by file and line."""
        kinds = {table.name: kind for kind in KINDS for table in self.tables.get(kind, ())}
        try:
            with naming_lines(text):
                yield
        except ConfigurationError as invalid:
            raise ConfigurationError(
                {self._placed(field, kinds): messages for field, messages in invalid.errors.items()}
            ) from None

    def _placed(self, field: str, kinds: Mapping[str, str]) -> str:
        noun, _, rest = field.partition(".")
        kind = kinds.get(rest.partition(".")[0])
        if noun == "sources" and kind is not None:
            return f"{kind}.{rest}"
        is_declared = noun.partition(" ")[0] in ("environments", "metrics", "experiments", "line", "YAML")
        return f"{self.declarations.name}: {field}" if self.declarations is not None and is_declared else field


def _check_table(table: TableFields, path: str, warehouse: str | None) -> None:
    """Raise ConfigurationError unless it is said where the rows are."""
    if table.files is not None and (table.table is not None or table.connection is not None):
        raise ConfigurationError.of(f"{path}.files", "Must be left out, or table and connection: one of both.")
    if table.table is not None and table.query is not None:
        raise ConfigurationError.of(f"{path}.query", "Must be left out, or table: one of both.")
    if table.files is None and table.table is None and table.query is None:
        raise ConfigurationError.of(f"{path}.table", "Must be given, or query, or files.")
    if table.freshness is not None:
        table_freshness(table, path)
    if table.files is None and table.connection is None and warehouse is None:
        message = "Must be given: the key of a DuckDBResource of the project, or one of connections."
        raise ConfigurationError.of("warehouse", message)


def table_freshness(table: TableFields, path: str = "freshness") -> timedelta:
    """Return how old the newest event of a table may be. Raises ConfigurationError where that is no duration."""
    try:
        return parse_duration(table.freshness or "")
    except ValueError as wrong:
        raise ConfigurationError.of(f"{path}.freshness", str(wrong)) from None


def _require_given(experiments: Sequence[Experiment], sources: Sequence[Source]) -> None:
    """Raise ConfigurationError where a metric reads an event, or an experiment a flag, that no table gives."""
    errors: dict[str, list[str]] = {}
    for experiment in experiments:
        of_environment = [each for each in sources if each.environment_key == experiment.environment_key]
        path = f"experiments.{experiment.key}"
        features = _given(of_environment, "feature")
        if features is not None and experiment.feature not in features:
            message = f"No exposures have the flag {quoted(experiment.feature)}.{_near(experiment.feature, features)}"
            errors.setdefault(f"{path}.feature", []).append(message)
        given = _given(of_environment, "event")
        for attached in experiment.metrics if given is not None else ():
            for name in attached.metric.event_names:
                if name not in (given or ()):
                    message = f"No table gives the event {quoted(name)}.{_near(name, given or ())}"
                    field = f"metrics.{attached.metric.name}"
                    if message not in errors.setdefault(field, []):
                        errors[field].append(message)
    if errors:
        raise ConfigurationError(errors)


def _given(sources: Iterable[Source], field: str) -> list[str] | None:
    """Return the names of the events, or the flags, that tables give; None where a column has them."""
    found: list[str] = []
    for source in sources:
        for mapping in source.mappings:
            value = getattr(mapping, field)
            if value is None:
                continue
            if value.constant is None:
                return None
            found.append(value.constant)
    return list(dict.fromkeys(found))


def _near(name: str, known: Iterable[str]) -> str:
    names = list(known)
    listed = f" They have {', '.join(quoted(each) for each in names[:10])}." if names else " There is none."
    return suggestion(name, names) or listed


def explained(error: ExperimentPipelineError) -> str:
    """Return an error as one message of several lines, one per field."""
    if not isinstance(error, ConfigurationError):
        return str(error)
    return "\n".join(f"{field}: {' '.join(messages)}" for field, messages in error.errors.items())
