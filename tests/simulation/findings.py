"""What a simulation found: what every experiment was ever called, and the page that holds it against its bounds."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from tests.simulation.guardrails import NEW_IDENTITIES, RATE, REFRESHES
from tests.simulation.pipeline import Published
from tests.simulation.traffic import BASELINE, DAYS, MDE, PLANNED, SAMPLES, SEED, Simulated

NULL, MOVING = 200, 100  # experiments at full size, which the bounds are for
MOST_FALSE, LEAST_FOUND = 19, 70  # 99 % binomial limits of 5.6 % of 200, and of 80 % of 100
BY_PRIMARY = ("4_primary_losing", "7_primary_winning")
HEAD = """# Simulation through the pipeline

Written by `make simulate` on {on}, seed {seed}. Experiments run through landing zone, ingestion, lake, engine and
registry, and are refreshed {days} times, at the end of each day; what is counted is what was ever published. The
conversion rate is {baseline:.0%}, the design's `mde` {mde:.0%}: a fixed sample is {planned:,} identities an arm, and
{samples} times that come in all. Every second experiment plans five looks; the verdict of the others holds at every
refresh. Each has a guardrail that nothing harms. Bounds are 99 % binomial limits: of 5.6 % where nothing differs, of
80 % at the `mde`.

| experiments | what | of all | at every refresh | five planned looks | bound | |
| --- | --- | ---: | ---: | ---: | --- | --- |
"""


@dataclass(slots=True)
class Ever:
    """Everything that was ever published of one experiment: verdicts, and actions with the rule that fired."""

    simulated: Simulated
    verdicts: set[str] = field(default_factory=set)
    decisions: set[tuple[str, str]] = field(default_factory=set)

    def add(self, found: Published) -> None:
        """Add one payload."""
        self.verdicts.add(found.payload["metrics"][0]["verdict"]["b"])
        self.decisions.add((found.payload["decision"]["action"], found.payload["decision"]["rule"]))

    @property
    def is_called(self) -> bool:
        """Whether its primary metric was ever called a difference."""
        return bool(self.verdicts & {"winning", "losing"})

    @property
    def is_decided(self) -> bool:
        """Whether it was ever to be shipped or rolled back by its primary metric."""
        return any(rule in BY_PRIMARY for _, rule in self.decisions)

    @property
    def is_shipped(self) -> bool:
        """Whether it was ever to be shipped."""
        return any(action == "ship" for action, _ in self.decisions)

    @property
    def harms(self) -> bool:
        """Whether it was ever to be rolled back by its guardrail."""
        return any(rule == "1_guardrail_harmed" for _, rule in self.decisions)


def collected(every: Iterable[Published]) -> list[Ever]:
    """Return what was ever published of each experiment."""
    found: dict[int, Ever] = {}
    for each in every:
        found.setdefault(each.simulated.number, Ever(each.simulated)).add(each)
    return list(found.values())


def page(found: Collection[Ever], false_rollbacks: Mapping[int, float], *, on: date) -> tuple[str, int]:
    """Return the page, and how many bounds are missed; there are none but at full size.

    Args:
        found: what was ever published of each experiment.
        false_rollbacks: see `guardrails.false_rollbacks`.
        on: the date of the page.
    """
    null = [each for each in found if not each.simulated.lift]
    moving = [each for each in found if each.simulated.lift]
    rows = [
        (f"{len(null)} without a difference", "ever `winning` or `losing`", null, Ever.is_called, (0, MOST_FALSE)),
        ("", "ever `ship` or `rollback` by the primary metric", null, Ever.is_decided, (0, MOST_FALSE)),
        ("", "ever `rollback` by the guardrail", null, Ever.harms, None),
        (f"{len(moving)} at the `mde`", "ever `winning` or `losing`", moving, Ever.is_called, (LEAST_FOUND, MOVING)),
        ("", "ever `ship`", moving, Ever.is_shipped, None),
        ("", "ever `rollback` by the guardrail", moving, Ever.harms, None),
    ]  # fmt: skip
    is_full = (len(null), len(moving)) == (NULL, MOVING)
    lines, missed = [], 0
    for name, what, subjects, counts, bound in rows:
        of_each = [sum(counts.__get__(each) for each in subjects if each.simulated.n_looks == n) for n in (1, 5)]
        shown, mark = "", ""
        if bound is not None and is_full:
            low, high = bound
            is_kept = low <= sum(of_each) <= high
            missed += not is_kept
            shown = f"at most {high}" if low == 0 else f"at least {low}"
            mark = "kept" if is_kept else "**missed**"
        lines.append(f"| {name} | {what} | {sum(of_each)} | {of_each[0]} | {of_each[1]} | {shown} | {mark} |\n")
    lines += _of_guardrails(false_rollbacks)
    numbers = {"days": DAYS, "baseline": BASELINE, "mde": MDE, "planned": PLANNED.control, "samples": SAMPLES}
    return HEAD.format(on=on.isoformat(), seed=SEED, **numbers) + "".join(lines), missed


def _of_guardrails(false_rollbacks: Mapping[int, float]) -> list[str]:
    numbers = " | ".join(str(number) for number in false_rollbacks)
    shares = " | ".join(f"{share:.1%}" for share in false_rollbacks.values())
    return [
        "\n## Several guardrails\n\n"
        "The share of experiments without a difference in which some guardrail is ever `harmed`, without the\n"
        f"pipeline: conversions of {RATE:.0%}, {REFRESHES} refreshes of {NEW_IDENTITIES:,} more identities an arm,\n"
        "independent guardrails without a margin. Each keeps its own alpha, of which harm is one side.\n\n",
        f"| guardrails | {numbers} |\n",
        f"| --- |{' ---: |' * len(false_rollbacks)}\n",
        f"| false `rollback` | {shares} |\n",
    ]
