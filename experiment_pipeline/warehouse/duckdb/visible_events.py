"""Visible events: statements over what a data version sees of the lake (rules E6, D6).

Statements read the files of events as they are. Only where rows of these months were ever removed, or identities of the
environment are linked, is a statement rewritten: elsewhere nothing is joined, and nothing costs more.
"""

from typing import Any, TypeAlias

from experiment_pipeline.domain.event_files import EventFiles
from experiment_pipeline.warehouse.duckdb.statements import statement

Parameters: TypeAlias = dict[str, Any]

STORED = "read_parquet($event_files, hive_partitioning = false)"  # how statements read events
STORED_LINKS = "read_parquet($link_files, hive_partitioning = false)"
REMOVALS, LINKS, REMOVED_LINKS = "removal_files", "link_files", "removed_link_files"
OPTIONAL = (REMOVALS, LINKS, REMOVED_LINKS)


def file_parameters(files: EventFiles) -> Parameters:
    """Return the parameters of statements that read these files."""
    optional = {REMOVALS: files.removals, LINKS: files.links, REMOVED_LINKS: files.links and files.removed_links}
    return {"event_files": files.events} | {name: paths for name, paths in optional.items() if paths}


def over_visible(sql: str, parameters: Parameters) -> tuple[str, Parameters]:
    """Return a statement over the events that its data version sees, with its parameters.

    Args:
        sql: a statement that reads events `STORED`.
        parameters: all that it takes; with the files of removals and links where there are any.
    """
    return sql.replace(STORED, visible_events(parameters)), parameters


def visible_events(parameters: Parameters) -> str:
    """Return what stands in the place of `STORED`: the events that are there, under the identity that counts."""
    visible = statement("visible_events") if REMOVALS in parameters else STORED
    return linked(visible, parameters) if LINKS in parameters else visible


def linked(events: str, parameters: Parameters) -> str:
    """Return events under the identity that counts, of the SQL of events under the one that they were sent with."""
    links = f"(\n{identity_links(parameters)})"
    return statement("linked_events").replace("identity_link as link", f"{links} as link").replace(STORED, events)


def identity_links(parameters: Parameters, data_version: str = "data_version") -> str:
    """Return the SQL of the links that a data version sees, which a parameter of this name holds."""
    links = statement("identity_links")
    if REMOVED_LINKS in parameters:
        links = links.replace(STORED_LINKS, visible_links())
    return links.replace("$data_version", f"${data_version}")


def visible_links() -> str:
    """Return the SQL of the links without those that were removed."""
    return statement("visible_events").replace("$event_files", "$link_files").replace(REMOVALS, REMOVED_LINKS)


def ambiguous_links_statement(files: EventFiles, data_version: int) -> tuple[str, Parameters]:
    """Return the statement that counts identities with links to several others, with its parameters (rule D6)."""
    sql, parameters = statement("ambiguous_links"), {"link_files": files.links, "data_version": data_version}
    if not files.removed_links:
        return sql, parameters
    return sql.replace(STORED_LINKS, visible_links()), {**parameters, REMOVED_LINKS: files.removed_links}
