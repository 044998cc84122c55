"""The split of identities as pages show it: whether they came to the variants in the declared shares, and who came."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from experiment_pipeline.pages.quantities import NEARLY_0, SMALLEST_P, shown
from experiment_pipeline.pages.tones import Line, Tone
from experiment_pipeline.results.payload import ExposuresPayload, PointPayload, ResultsPayload
from experiment_pipeline.results.reasons import in_words

DISTRUST = "Do not trust these numbers: nothing is called winning on such a split."


@dataclass(frozen=True, slots=True)
class SplitArm:
    """A compared variant: its analysed identities, and the share that was configured, 0 to 1; None where unknown."""

    variant: str
    identities: int
    expected_share: float | None


@dataclass(frozen=True, slots=True)
class SplitView:
    """The split beside the shares that are configured.

    Attributes:
        verdict: "sound", "BROKEN" or "not tested".
        detail: the rest of the sentence: counts, shares, p-values, and why.
        warning: what it means for the numbers; empty where the split is sound.
        arms: control first.
    """

    verdict: str
    tone: Tone
    detail: str
    warning: str
    arms: tuple[SplitArm, ...]

    def share(self, arm: SplitArm) -> float | None:
        """Return the share of an arm among all analysed identities, 0 to 1; None without any."""
        total = sum(each.identities for each in self.arms)
        return arm.identities / total if total else None


@dataclass(frozen=True, slots=True)
class ExposuresView:
    """The identities that were exposed.

    Attributes:
        summary: one sentence.
        buckets: the moments up to which `cumulative` counts, UTC: each is the beginning of an hour or a day, and its
            identities are counted.
        cumulative: identities so far by compared variant, one number a bucket.
        expected_shares: of the compared variants, 0 to 1; empty where they are not known.
    """

    summary: str
    granularity: str
    buckets: tuple[datetime, ...]
    cumulative: dict[str, tuple[int, ...]]
    expected_shares: dict[str, float]


def split_view(results: ResultsPayload) -> SplitView:
    """Return the split with its tests."""
    srm, sound = results["srm"], results["trustworthy"]
    shares, tested = srm["expected_shares"], _tests(results)
    observed = " / ".join(f"{shown(key)} {n:,}" for key, n in srm["identities"].items())
    arms = tuple(SplitArm(shown(key), n, shares.get(key)) for key, n in srm["identities"].items())
    if sound is None or (sound and not tested):
        detail = f"{in_words(srm['reason'] or 'unknown')} ({observed})"
        return SplitView("not tested", Tone.WARNING, detail, "", arms)
    expected = " / ".join(f"{100 * share:.4g} %" for share in shares.values())
    detail = f"{observed}, expected {expected}{tested}"
    if sound:
        return SplitView("sound", Tone.GOOD, detail, "", arms)
    why = "" if srm["reason"] is None else f"; {in_words(srm['reason'])}"
    return SplitView("BROKEN", Tone.BAD, f"{detail}{why}", DISTRUST, arms)


def exposures_view(exposures: ExposuresPayload, compared: Sequence[str], shares: Mapping[str, float]) -> ExposuresView:
    """Return who was exposed, over time.

    Args:
        exposures: as published.
        compared: the variants that are compared, control first; others are counted in the summary alone.
        shares: of them, as configured; empty where they are not known.
    """
    series = exposures["timeseries"]
    return ExposuresView(
        summary=_summary(exposures, compared),
        granularity=series["granularity"],
        buckets=tuple(datetime.fromisoformat(point["bucket"]) for point in series["points"]),
        cumulative={
            shown(key): tuple(accumulate(point["new_identities"].get(key, 0) for point in series["points"]))
            for key in compared
        },
        expected_shares={shown(key): share for key, share in shares.items()},
    )


def _summary(exposures: ExposuresPayload, compared: Sequence[str]) -> str:
    points = exposures["timeseries"]["points"]
    seen = _seen(points)
    unlisted = sum(point.get("unlisted_identities", 0) for point in points)
    summary = f"{seen.total() + unlisted:,} identities exposed, {exposures['excluded_identities']:,} more excluded"
    summary += " for seeing several variants" if exposures["excluded_identities"] else ""
    aside = [f"{shown(variant)} {n:,}" for variant, n in sorted(seen.items()) if variant not in compared]
    if others := exposures.get("unlisted_variants"):
        aside.append(f"{others:,} other variants {unlisted:,}")
    return f"{summary}; not compared: {', '.join(aside)}" if aside else summary


def _seen(points: list[PointPayload]) -> Counter[str]:
    seen: Counter[str] = Counter()
    for point in points:
        seen.update(point["new_identities"])
    return seen


def _tests(results: ResultsPayload) -> str:
    """Return the p-values of both tests; empty where they could not be made."""
    fixed, anytime = results["srm_p_value"], results["srm"]["anytime_p_value"]
    return "" if fixed is None or anytime is None else f" (SRM p {_p(fixed)}, at every look p {_p(anytime)})"


def _p(p_value: float) -> str:
    return NEARLY_0 if p_value < SMALLEST_P else f"= {p_value:.3g}"


def split_lines(split: SplitView) -> Iterator[Line]:
    """Yield the split as lines of text."""
    yield Line(f"split {split.verdict}: {split.detail}", split.tone)
    if split.warning:
        yield Line(split.warning, Tone.BAD)
