"""Words of the results, and what they mean."""

LEGEND = (
    "n: analysed identities, where a share is measured with those that have it\n"
    "effect: treatment less control; lift: relative to control, and the interval is the lift's\n"
    "chance to win: that the treatment is the better one, as far as this one look can tell\n"
    "p, all looks: of no effect, valid at every refresh at once and over all comparisons of the metric's family\n"
    "verdict: from bounds that hold at every refresh at once, or at the looks that the design plans, so it takes more "
    "data than the chance to win\n"
)
WORDS = {
    "identity": "who is in the experiment: a user, a device, whatever the flag was asked for",
    "exposed": "saw a variant of the flag between start and end; counted once, in the first variant",
    "excluded": "exposed to several variants: counted in none",
    "not compared": "a holdout, or a variant that the experiment does not declare",
    "split": "whether identities came to the variants in the declared shares: sound, BROKEN or not tested",
    "SRM p": "p-value of the sample ratio test for one look; `at every look` is the one that decides",
    "n": "analysed identities of the variant; of a share, first those that have it",
    "value": "what the metric comes to: a share of identities, a mean, a ratio or a quantile",
    "effect": "value of the treatment less that of control",
    "lift": "the effect relative to control",
    "interval": "of the lift: with this probability it lies within, as far as this one look can tell",
    "chance to win": "probability that the treatment is the better one, as far as this one look can tell",
    "adjusted": "the same after what identities did before their exposure is taken out; the verdict rests on it",
    "step": "the share of identities that come as far as one event of a funnel",
    "(none), (all others)": "identities without a value of the dimension; those of all values beyond its 20 largest",
    "p, all looks": "p-value of no effect, valid at every refresh at once and over all comparisons of its family; of a "
    "guardrail with a margin, of an effect that is exactly the margin",
    "chance to be best": "of all variants, control included: that no other is better, as far as this one look can tell",
    "read with ...": "the primary metric had it been declared in that way; where readings disagree nothing is shipped",
    "planned evidence": "what a test of the design's mde needs for its power; all of it is the planned end",
    "planned look": "one of those that the design plans (`n_looks`): the verdict is read at these alone",
    "with the prior": "the lift once what was known before the start is taken in; no verdict rests on it",
    "expected loss": "what each decision costs per identity on average if it is the wrong one, by this one look",
    "post-stratified effect": "made of the effects within one dimension, by its shares; no verdict rests on it",
    "from the margin": "effect less what it would be exactly at the margin of a guardrail; its verdict is read from it",
    "decision": "what to do by the first rule that holds; docs/statistics.md has the rules",
    "p, one look": "p-value of no effect for those who look exactly once: column `p_one_look` of --csv",
    "higher is better": "the side on which the metric wins; so is `lower is better`",
    "must not fall": "a guardrail: it does not have to win, it must not get worse; so is `must not rise`",
    "collecting data": "verdict: too little data for any other",
    "inconclusive": "verdict: enough data for a comparison, and neither side is sure",
    "winning": "verdict: better than control, sure at every refresh at once",
    "losing": "verdict: worse than control, sure at every refresh at once",
    "ok": "verdict on a guardrail: it is not shown to get worse; with a margin: it is shown to keep it",
    "harmed": "verdict on a guardrail: it is shown to get worse; with a margin: by more than that",
    "withheld": "a number that cannot be given, with the reason",
    "final": "these results never change again",
    "data version": "the number of the newest batch of events that was read",
    "error, warning": "what a health check found, and what to do about it",
}
LINK = "All words: docs/glossary.md; methods and every reason: docs/statistics.md; the rules: docs/rules.md"


def explanation() -> str:
    """Return every word with its meaning, one a line, and where to read more."""
    width = max(map(len, WORDS))
    return "\n".join([*(f"{word:<{width}}  {meaning}" for word, meaning in WORDS.items()), "", LINK])
