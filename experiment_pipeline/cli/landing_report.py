"""What an ingestion did, and what lies in the landing zone without being ingested, as text and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from experiment_pipeline.domain.events import Reason
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.domain.unknown_fields import ADVICE, UnknownFields, likely_field
from experiment_pipeline.landing.ignored import NAMES_KEPT, IgnoredFiles
from experiment_pipeline.landing.problems import explanation
from experiment_pipeline.settings import PREFIX

if TYPE_CHECKING:
    from experiment_pipeline.lake.ingestion import IngestionReport
    from experiment_pipeline.lake.rereading import Reread
    from experiment_pipeline.lake.retrying import Retry


REMEDIES: Mapping[str, str] = {  # of reasons that do not say it themselves; docs/events.md has them all
    Reason.BAD_TIMESTAMP: "write RFC 3339 with an offset, such as 2026-11-01T00:00:00Z, or whole epoch milliseconds",
    Reason.TIMESTAMP_WITHOUT_ZONE: f"add the offset, such as Z, or set {PREFIX}LANDING_TIMEZONE",
    Reason.TIMESTAMP_TOO_OLD: "before 2020; whole numbers are milliseconds. For older data set `oldest` of the source",
    Reason.TIMESTAMP_IN_FUTURE: "over 24 hours after its arrival: correct the sender's clock",
    Reason.UNKNOWN_ENVIRONMENT: "declare the environment, then `lake rejected --retry`",
}


def print_report(report: "IngestionReport") -> None:
    """Print what became of what had landed, and what was left out."""
    if report.batch is None:
        click.echo("Nothing new has landed.")
    else:
        rejected = sum(report.rejected.values())
        click.echo(f"Batch {report.batch}: {report.objects:,} objects, {report.accepted:,} new events,", nl=False)
        removed = f", {report.removed:,} events of earlier batches removed" if report.removed else ""
        erased = f", {report.erased:,} of erased identities left out" if report.erased else ""
        click.echo(f" {report.duplicates:,} duplicates, {rejected:,} rejected{removed}{erased}.")
    print_reasons(report.rejected)
    _print_problems(report.problems)
    _print_unknown(report.unknown_fields)
    print_left_out(report.unreadable, report.ignored)
    print_changed(report.changed)


def print_reread(found: "Reread") -> None:
    """Print what became of an object that was read again."""
    summary = found.summary
    rejected = sum(summary.rejected.values())
    click.echo(
        f"Batch {found.batch}: {printable(found.name)} was read again: {summary.accepted:,} new events, "
        f"{summary.duplicates:,} in the lake already, {rejected:,} rejected."
    )
    click.echo(
        "Records that were changed in it, or taken out of it, since it was read before stay in the lake as they were."
    )
    print_reasons(summary.rejected)
    _print_problems(summary.problems)


def reread_as_json(found: "Reread") -> dict[str, Any]:
    """Return the same for JSON."""
    counts = asdict(found.summary)
    return {"name": printable(found.name), "batch": found.batch} | {
        field: counts[field] for field in ("accepted", "duplicates", "rejected", "problems")
    }


def print_retry(found: "Retry", *, dry_run: bool) -> None:
    """Print what became of rejected records that were judged once more."""
    for reason, records in sorted(found.records.items()):
        click.echo(f"{reason}: {found.accepted[reason]:,} of {records:,} records are accepted now.")
    if dry_run:
        click.echo("A dry run: nothing was taken in.")
    elif found.batch is None:
        click.echo("No rejected record is accepted now: nothing was taken in.")
    else:
        click.echo(f"Batch {found.batch}: {found.new_events:,} new events, {found.duplicates:,} in the lake already.")
        print_reasons(found.rejected)


def retry_as_json(found: "Retry", *, dry_run: bool) -> dict[str, Any]:
    """Return the same for JSON."""
    return {
        "dry_run": dry_run,
        "batch": found.batch,
        "records": dict(found.records),
        "accepted": dict(found.accepted),
        "new_events": found.new_events,
        "duplicates": found.duplicates,
        "rejected": dict(found.rejected),
    }


def report_as_json(report: "IngestionReport") -> dict[str, Any]:
    """Return the same for JSON."""
    names = ("batch", "objects", "accepted", "duplicates", "removed", "erased", "rejected")
    counts = {name: getattr(report, name) for name in names}
    lists = {
        "problems": _problems_as_json(report.problems),
        "unknown_fields": _unknown_as_json(report.unknown_fields),
        "ignored": left_out_as_json(report.ignored),
        "unreadable": left_out_as_json(report.unreadable),
        "changed": left_out_as_json(report.changed),
    }
    return counts | lists


def print_left_out(*groups: IgnoredFiles) -> None:
    """Name what lies in the landing zone and is not ingested, reason by reason."""
    for files in groups:
        for reason in dict.fromkeys(each.reason for each in files.first):
            click.echo(f"Not ingested, {reason.value} ({reason.explanation}):")
            for each in files.first:
                if each.reason is reason:
                    click.echo(f"  {each.name}")
        if files.unnamed:
            click.echo(f"  and {files.unnamed:,} more that are not ingested.")


def print_changed(files: IgnoredFiles) -> None:
    """Name the objects that have changed since they were ingested."""
    if files.count:
        click.echo("Changed since it was ingested (lake ingest --again FILE reads it, as a batch of its own):")
    for each in files.first:
        click.echo(f"  {each.name}")
    if files.unnamed:
        click.echo(f"  and {files.unnamed:,} more that have changed.")


def print_reasons(rejected: Mapping[str, int]) -> None:
    """Name the reasons of rejected records, with how many there are and what to do."""
    for reason, records in sorted(rejected.items()):
        advice = f" ({REMEDIES[reason]})" if reason in REMEDIES else ""
        click.echo(f"  rejected, {reason}: {records:,}{advice}")


def _print_problems(problems: Mapping[str, str]) -> None:
    """Name the objects that something is wrong with as a whole, problem by problem."""
    shown = _first(problems)
    for problem in dict.fromkeys(shown.values()):
        click.echo(f"{problem} ({explanation(problem)}):" if explanation(problem) else f"{problem}:")
        for name, what in shown.items():
            if what == problem:
                click.echo(f"  {printable(name)}")
    if len(problems) > len(shown):
        click.echo(f"  and {len(problems) - len(shown):,} more with a problem.")


def left_out_as_json(files: IgnoredFiles) -> dict[str, Any]:
    """Return the count, and the first names with what to do about each."""
    first = [
        {"name": each.name, "reason": each.reason.value, "what_to_do": each.reason.explanation} for each in files.first
    ]
    return {"count": files.count, "first": first}


def _problems_as_json(problems: Mapping[str, str]) -> dict[str, Any]:
    """Return the count, and the first names with what to do about each."""
    first = [
        {"name": printable(name), "problem": what, "what_to_do": explanation(what)}
        for name, what in _first(problems).items()
    ]
    return {"count": len(problems), "first": first}


def _print_unknown(found: UnknownFields) -> None:
    """Name the fields that nobody reads, with the number of records that have each."""
    if found.count:
        click.echo(f"Unknown fields, not kept ({ADVICE}):")
    for name, records in found.records.items():
        likely = likely_field(name)
        click.echo(f"  {printable(name)}: {records:,} records{f'; is {likely} meant?' if likely else ''}")
    if found.unnamed > 0:
        click.echo(f"  and {found.unnamed:,} more unknown fields.")


def _unknown_as_json(found: UnknownFields) -> dict[str, Any]:
    """Return the count, and the most frequent names with the number of records that have each."""
    first = [
        {"name": printable(name), "records": records, "is_meant": likely_field(name)}
        for name, records in found.records.items()
    ]
    return {"count": found.count, "first": first, "what_to_do": ADVICE}


def _first(problems: Mapping[str, str]) -> dict[str, str]:
    return dict(islice(sorted(problems.items()), NAMES_KEPT))
