"""A manifest of flags that no experiment covers yet: YAML, with what only people know left as comments to fill in."""

import re
from collections.abc import Collection, Iterator, Sequence

import yaml

from experiment_pipeline.domain.discovery import ControlSign, ExposedVariant, UncoveredFlag
from experiment_pipeline.domain.experiments import CONTROL
from experiment_pipeline.domain.fields import Feature, FieldErrors, VariantKey
from experiment_pipeline.domain.texts import quoted
from experiment_pipeline.times import iso_utc

KEY_LENGTH = 80  # rule L6
HEADER = """\
# Flags and variants in exposures of {environment} that no experiment covers. Fill in what is commented out, then
# apply this.
#
# percentage_allocation is the share that was planned, in percent. Do not take it from the counts below: the test of the
# split compares the two, and would always pass. Where nobody knows the plan, do not trust that test.
"""
SIGNS = {
    ControlSign.KEY: "by its key",
    ControlSign.NAME: "by its name",
    ControlSign.MOST_IDENTITIES: "no name says so, and it has the most identities: a weak sign",
}


def discovered_manifest(flags: Sequence[UncoveredFlag], environment: str, taken: Collection[str]) -> str:
    """Return the YAML that declares experiments for flags, as text.

    Args:
        flags: that no experiment covers, or of which some variants are not covered.
        environment: its key.
        taken: keys of experiments that there are.
    """
    keys = set(taken)
    lines = [HEADER.format(environment=environment)]
    entries: list[str] = []
    for flag in flags:
        if flag.experiments:
            lines.extend(_of_known_flag(flag))
        elif refused := _refused(flag):
            lines.extend(["", f"# The flag {quoted(flag.feature)} can have no experiment: {refused}"])
        else:
            key = _new_key(flag.feature, keys)
            keys.add(key)
            entries.extend(_entry(key, flag, environment))
    if entries:
        lines.extend(["experiments:", *entries])
    return "\n".join(lines).rstrip() + "\n"


def _of_known_flag(flag: UncoveredFlag) -> Iterator[str]:
    """Yield comments about variants that the experiments of their flag do not have, or not at that time."""
    yield f"# The flag {quoted(flag.feature)} has experiments: {', '.join(flag.experiments)}. They do not cover:"
    yield from (f"#   {quoted(each.variant)}: {_counts(each)}" for each in flag.variants)
    yield "# Add such a variant to ignored_variants of the experiment, or declare another experiment for that time."
    yield ""


def _refused(flag: UncoveredFlag) -> str:
    """Return why no experiment can have this flag or one of its variants; empty where one can."""
    errors = FieldErrors()
    errors.validate(Feature, flag.feature, "feature")
    for each in flag.variants:
        errors.validate(VariantKey, each.variant, f"variant {quoted(each.variant)}")
    return " ".join(f"{field}: {message}" for field, messages in errors.errors.items() for message in messages)


def _entry(key: str, flag: UncoveredFlag, environment: str) -> Iterator[str]:
    yield f"  {key}:"
    yield f"    environment: {_scalar(environment)}"
    yield '    hypothesis: ""  # what was believed'
    yield f"    feature: {_scalar(flag.feature)}"
    yield from (f"    # {line}" for line in _about_control(flag))
    yield "    variants:"
    control = flag.control.variant if flag.control else CONTROL
    for each in sorted(flag.variants, key=lambda each: each.variant != control):
        variant = CONTROL if each.variant == control else each.variant
        yield f"      - key: {_scalar(variant)}  # {_counts(each)}"
        yield "        # percentage_allocation:"
    yield "    # metrics: [{metric: NAME, expected_direction: increase}]"
    yield "    status: running"
    yield f"    started_at: {iso_utc(flag.first_at)}  # the first exposure"
    yield f"    # The last exposure was at {iso_utc(flag.last_at)}. If it has ended, write status: completed, and:"
    yield "    # ended_at:"


def _about_control(flag: UncoveredFlag) -> Iterator[str]:
    if flag.control is None or flag.control.sign is ControlSign.KEY:
        return
    name = quoted(flag.control.variant)
    yield f"{name} is probably control ({SIGNS[flag.control.sign]}). The exposures of control must have the variant"
    yield f"'{CONTROL}': give a source's variant `map: {{{_scalar(flag.control.variant)}: {CONTROL}}}`, then"
    yield "`sources pull --again`; or `import` the file into another environment, with"
    yield f"`--map variant:{name[1:-1]}={CONTROL}`."


def _counts(each: ExposedVariant) -> str:
    return (
        f"{each.identities:,} identities, {each.exposures:,} exposures, "
        f"from {each.first_at:%Y-%m-%d} to {each.last_at:%Y-%m-%d}"
    )


def _new_key(feature: str, taken: Collection[str]) -> str:
    """Return a key for an experiment that no other one has (rule L6)."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", feature).strip("_") or "flag"
    base = (plain if plain[0].isalpha() else f"flag_{plain}")[:KEY_LENGTH]
    number, key = 1, base
    while key in taken:
        number += 1
        key = f"{base[: KEY_LENGTH - 1 - len(str(number))]}_{number}"
    return key


def _scalar(text: str) -> str:
    """Return a text as a YAML scalar on one line."""
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf")).strip()
