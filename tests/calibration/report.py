"""What the studies found, as a page of documentation."""

from collections import Counter
from collections.abc import Sequence
from datetime import date

from tests.calibration.studies import Reading, Study

HEAD = """# Calibration

Written by `make calibrate`: seed {seed}, {on}; `n` is how many experiments were simulated, `+-` two standard errors of
the simulation. Rows without a bound show other rules, for comparison. The fixed sample is the one that has 80 % power
at the design's effect. Where values accrue, `within 0.5 of the time` says by when all identities have been exposed, and
events an identity are those of one that is exposed at the start and has no window. Of a guardrail the fixed sample is
the one that shows with 80 % power that equal arms differ by less than the margin; at an effect of the margin neither
`ok` nor `harmed` is true. Of a self-check those arms are counted whose calls of 200 lie outside 2 to 21, as 0.09 % do
by chance ([ADR 46](adr/0046-control-is-split-in-two-in-the-engine.md)). A known limit without a bound is traffic in
which the verdict does not hold ([ADR 38](adr/0038-the-interval-runs-on-accrued-evidence.md),
[ADR 42](adr/0042-a-guardrail-with-a-margin-is-tuned-to-it.md)), or an arm whose own test does not keep its level.

| study | what | n | measured | bound | |
| --- | --- | ---: | ---: | --- | --- |
"""


def table(studies: Sequence[Study], found: Sequence[Counter[str]], *, seed: int, on: date) -> tuple[str, int]:
    """The page, and how many bounds are missed."""
    lines, missed = [], 0
    for study, counts in zip(studies, found, strict=True):
        for number, reading in enumerate(study.readings):
            measured = reading.measured(counts)
            kept = reading.low <= measured <= reading.high
            missed += not kept
            error = 2 * (measured * (1 - measured) / counts["experiments"]) ** 0.5
            name, bound = study.name if number == 0 else "", _bound(reading)
            size = f"{counts['experiments']:,}" if number == 0 else ""
            mark = "" if not bound else "kept" if kept else "**missed**"
            lines.append(f"| {name} | {reading.name} | {size} | {measured:.2%} +- {error:.2%} | {bound} | {mark} |\n")
    return HEAD.format(seed=seed, on=on.isoformat()) + "".join(lines), missed


def _bound(reading: Reading) -> str:
    if reading.low > 0 and reading.high < 1:
        return f"{reading.low:.2%} to {reading.high:.2%}"
    if reading.low > 0:
        return f"at least {reading.low:.2%}"
    return f"at most {reading.high:.2%}" if reading.high < 1 else ""
