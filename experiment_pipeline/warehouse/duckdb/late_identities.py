"""Late identities: whose events have come, left, or changed hands since an earlier look (rules R9, E6, D6).

Each function gives SQL that takes the parameters of the present analysis and, of the earlier look, `known_data_version`
and `known_as_of`. Where nothing was ever removed or linked, late events are all that there is.
"""

from experiment_pipeline.warehouse.duckdb.statements import statement
from experiment_pipeline.warehouse.duckdb.visible_events import (
    LINKS,
    REMOVALS,
    STORED,
    Parameters,
    identity_links,
    linked,
)


def may_lose_events(parameters: Parameters) -> bool:
    """Return whether an identity may have fewer events than at the earlier look: removed ones, or those of a link."""
    return REMOVALS in parameters or LINKS in parameters


def late_statement(parameters: Parameters) -> str:
    """Return the SQL of late events by identity, and of identities whose events have left or changed hands, with 0."""
    new_events = statement("new_events") if REMOVALS in parameters else STORED
    if LINKS in parameters:
        new_events = linked(new_events, parameters)
    parts = [statement("late_events").replace(STORED, new_events)]
    if REMOVALS in parameters:
        removed = statement("late_removals")
        parts.append(_with_links({"changed": removed}, "linked_to", parameters) if LINKS in parameters else removed)
    if LINKS in parameters:
        parts.append(_with_links({}, "late_links", parameters))
    if len(parts) == 1:
        return parts[0]
    united = "\nunion all\n".join(f"from (\n{part})" for part in parts)
    of_somebody = f"from (\n{united})\nwhere identity_hash is not null"  # not all are linked
    return f"select identity_hash, sum(events)::bigint as events\n{of_somebody}\ngroup by identity_hash"


def removed_statement() -> str:
    """Return the SQL that counts the events that were removed since an earlier look; some must have been, ever."""
    return statement("removed_events").replace("from visible_events", f"from {statement('visible_events')} as events")


def histories_statement(parameters: Parameters) -> str:
    """Return the SQL of all events, removed ones too, of the moved identities, as they were sent."""
    histories = statement("histories")
    if LINKS not in parameters:
        return histories
    sent_with = _with_links({}, "sent_with", parameters)
    return histories.replace("read_parquet($moved, hive_partitioning = false) as moved", f"(\n{sent_with}) as moved")


def _with_links(tables: dict[str, str], stage: str, parameters: Parameters) -> str:
    """Return a statement that reads the links of both data versions, and these tables."""
    both = {
        "link_before": identity_links(parameters, "known_data_version"),
        "link_now": identity_links(parameters),
    }
    named = ",\n".join(f"{name} as (\n{sql})" for name, sql in (tables | both).items())
    return f"with {named}\n{statement(stage)}"
