"""How `lake vacuum` tells what environments keep no longer."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from experiment_pipeline.times import format_duration

if TYPE_CHECKING:
    from experiment_pipeline.domain.retention import Retention
    from experiment_pipeline.lake.retention import Expired


def expiry_line(kept: "Retention", gone: "Expired", would: str) -> str:
    """Return what goes of one environment, and who keeps more from going, in words."""
    held = f" '{kept.held_by}' is not final and keeps events from {kept.kept_from} on." if kept.held_by else ""
    months = f"{len(gone.months)} months" if len(gone.months) != 1 else "1 month"
    return (
        f"{kept.environment_key} keeps {format_duration(kept.keep)}: {gone.events:,} events of {months} and "
        f"{gone.rejected:,} rejected records {would}dropped.{held}"
    )


def expiry_as_json(kept: "Retention", gone: "Expired") -> dict[str, object]:
    """Return the same for JSON."""
    return {**asdict(gone), "keep": format_duration(kept.keep), "kept_from": kept.kept_from, "held_by": kept.held_by}
