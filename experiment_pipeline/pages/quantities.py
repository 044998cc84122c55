"""Numbers as texts, the same ones in a terminal, on a page and in a picture."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from experiment_pipeline.domain.metrics import AttachedMetric
from experiment_pipeline.domain.texts import printable, shortened
from experiment_pipeline.results.comparison_payload import LiftPayload, VariantPayload

VARIANT_SHOWN = 60  # characters
WITHHELD = "–"
DIGITS = 5  # of a metric's value
SMALLEST_P, NEARLY_0 = 0.0001, "< 0.0001"  # a smaller p-value is neither written out nor rounded to 0


@dataclass(frozen=True, slots=True)
class Quantity:
    """Format of one metric's numbers: shares in per cent, others with the decimals that the largest one needs."""

    is_share: bool
    decimals: int | None  # None: too large or too small to be written out

    @classmethod
    def of(cls, attached: AttachedMetric, variants: Mapping[str, VariantPayload]) -> "Quantity":
        """Return the format of a metric, by what it comes to in its variants."""
        values = [abs(value) for each in variants.values() if (value := value_of(each))]
        magnitude = math.floor(math.log10(max(values))) if values else 0
        written_out = -4 <= magnitude <= 14
        return cls(attached.metric.is_proportion, max(0, DIGITS - 1 - magnitude) if written_out else None)

    def identities(self, aggregate: VariantPayload) -> str:
        """Return the identities of a variant, of a share after those that have it."""
        converted = f"{round(aggregate['sum']):,} of " if self.is_share and aggregate["sum"] is not None else ""
        return f"{converted}{aggregate['n']:,}"

    def value(self, aggregate: VariantPayload) -> str:
        """Return what the metric comes to in a variant."""
        value = value_of(aggregate)
        if value is None:
            return WITHHELD
        return f"{100 * value:.3f} %" if self.is_share else f"{value:{self._format}}"

    def signed(self, value: float) -> str:
        """Return a difference with its sign."""
        return f"{100 * value:+.3f} points" if self.is_share else f"{value:+{self._format}}"

    def unsigned(self, value: float) -> str:
        """Return a size without a sign, of the same digits."""
        return self.signed(value).removeprefix("+")

    def interval(self, low: float, high: float) -> str:
        """Return an interval of differences."""
        return f"{self.signed(low)} to {self.signed(high)}"

    @property
    def _format(self) -> str:
        return f".{DIGITS - 1}e" if self.decimals is None else f",.{self.decimals}f"


def value_of(aggregate: VariantPayload) -> float | None:
    """Return what a metric comes to in a variant: its mean, ratio or quantile; None where it cannot be given."""
    if "value" in aggregate:
        return aggregate["value"]
    return None if aggregate["sum"] is None or not aggregate["n"] else aggregate["sum"] / aggregate["n"]


def chance_words(chance: float) -> str:
    """Return a chance in percent; nearly certain is not rounded to certain."""
    if chance < 0.0001:
        return "< 0.01 %"
    return "> 99.99 %" if chance > 0.9999 else f"{100 * chance:.2f} %"


def p_words(p_value: float | None) -> str:
    """Return a p-value as a cell of a table."""
    if p_value is None:
        return WITHHELD
    return NEARLY_0 if p_value < SMALLEST_P else f"{p_value:.4f}"


def lift_words(lift: LiftPayload | None) -> tuple[str, str]:
    """Return a lift and its interval."""
    if lift is None:
        return WITHHELD, WITHHELD
    return f"{100 * lift['lift']:+.2f} %", f"{100 * lift['ci_low']:+.2f} to {100 * lift['ci_high']:+.2f} %"


def shown(variant: str) -> str:
    """Return a variant's key, which may be a text that a sender made up, short enough for a line."""
    return printable(shortened(variant, VARIANT_SHOWN))


def value_shown(value: str | None, *, other: bool = False) -> str:
    """Return a value so that no value reads like the lack of one, or like the rest."""
    if other:
        return "(all others)"
    return "(none)" if value is None else f'"{shown(value)}"'


def readable(word: str) -> str:
    """Return a stable word, such as a reason or a verdict, as a phrase."""
    return word.replace("_", " ")


def a_day(number: float) -> str:
    """Return how many come a day; less than ten keep two digits, so that few are not none."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def by_variant(counts: Mapping[str, int]) -> str:
    """Return how many identities of each variant."""
    return ", ".join(f"{shown(key)} {count:,}" for key, count in counts.items()) + " identities"
