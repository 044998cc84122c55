"""Reconciliation: whether aggregates are of exactly the identities that were first exposed (rules M4, X5)."""

from collections.abc import Iterable, Iterator, Mapping

from experiment_pipeline.domain.aggregates import MetricAggregates
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import ContractBroken

TOLD = 5  # differences


def require_reconciled(
    identities: Mapping[str, int], aggregates: Iterable[MetricAggregates], names: Mapping[int, str]
) -> None:
    """Refuse aggregates whose identities are not those of the first exposures, variant by variant.

    Args:
        identities: analysed ones of the first exposures, by variant, others than the compared ones among them.
        aggregates: of every metric.
        names: of the metrics, by their ids.

    Raises:
        ContractBroken: names the metrics and variants, with both numbers.
    """
    differences = list(_differences(identities, aggregates, names))
    if differences:
        more = f"; and {len(differences) - TOLD} more" if len(differences) > TOLD else ""
        raise ContractBroken(
            f"Aggregates do not reconcile with first exposures: {'; '.join(differences[:TOLD])}{more}. Nothing was "
            "published; the results before stay. Refresh again; where it stays so, report it with these numbers."
        )


def _differences(
    identities: Mapping[str, int], aggregates: Iterable[MetricAggregates], names: Mapping[int, str]
) -> Iterator[str]:
    for found in aggregates:
        for variant, aggregate in found.by_variant.items():
            analysed = found.identities.get(variant, None if aggregate is None else aggregate.n)
            if analysed is None:  # moments that are too large for a float
                continue
            counted, exposed = analysed + found.not_mature.get(variant, 0), identities.get(variant, 0)
            if counted != exposed:
                name = printable(names.get(found.metric_id, f"metric {found.metric_id}"))
                yield f"{name} has {counted:,} identities in {printable(variant)}, and {exposed:,} were exposed"
