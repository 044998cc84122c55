"""`make golden`: expected answers from implementations that share no code with this package.

Runs in an environment of its own (requirements/golden.txt), since these libraries bring pandas and pyarrow:

    .venv-golden/bin/python -m tests.golden.make_golden
"""

import csv
import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
import statsmodels.api
import tea_tasting
import tea_tasting.aggr
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, proportions_ztest

from tests.golden.samples import Arm, arms

SIZES = [(50, 50), (200, 300), (5_000, 1_000)]
FAMILIES = [[0.01, 0.04, 0.03], [0.2, 0.0001, 0.05, 0.05, 0.9, 0.012], [0.5], [0.001, 0.001, 0.001, 1.0]]

Case = dict[str, object]


def chi_square() -> list[Case]:
    """`scipy.stats.chisquare` of counts against normalised shares."""
    tables: list[tuple[list[int], list[float]]] = [
        ([5_000, 5_200], [0.5, 0.5]),
        ([500, 400, 150], [5, 4, 1]),
        ([1_000_000, 1_010_000], [0.5, 0.5]),
        ([90_300, 9_700, 12], [0.9, 0.09, 0.01]),
    ]
    cases: list[Case] = []
    for counts, shares in tables:
        expected = np.array(shares) / sum(shares) * sum(counts)
        test = scipy.stats.chisquare(counts, expected)
        cases.append({"counts": counts, "shares": shares, "chi2": test.statistic, "p_value": test.pvalue})
    return cases


def welch() -> list[Case]:
    """`scipy.stats.ttest_ind_from_stats(equal_var=False)`; the interval is `TtestResult.confidence_interval`."""
    cases: list[Case] = []
    for seed, sizes in enumerate(SIZES):
        control, treatment = arms(seed, *sizes)
        test = scipy.stats.ttest_ind(treatment.y, control.y, equal_var=False)
        interval = test.confidence_interval(0.95)
        answer = {"statistic": test.statistic, "dof": test.df, "p_value": test.pvalue}
        cases.append(_case(control, treatment) | answer | {"ci_low": interval.low, "ci_high": interval.high})
    return cases


def two_proportions() -> list[Case]:
    """`proportions_ztest` and `confint_proportions_2indep(method="newcomb")`, `proportion_confint(method="wilson")`."""
    cases: list[Case] = []
    for converted_c, n_c, converted_t, n_t in [
        (100, 1_000, 130, 1_000),
        (5, 60, 9, 50),
        (0, 80, 6, 90),
        (40, 2_000, 25, 900),
    ]:
        statistic, p_value = proportions_ztest([converted_t, converted_c], [n_t, n_c])
        low, high = confint_proportions_2indep(converted_t, n_t, converted_c, n_c, method="newcomb", compare="diff")
        cases.append(
            {"control": [converted_c, n_c], "treatment": [converted_t, n_t], "statistic": statistic, "p_value": p_value}
            | {"ci_low": low, "ci_high": high, "wilson": list(proportion_confint(converted_c, n_c, method="wilson"))}
        )
    return cases


def public_experiments() -> list[Case]:
    """`ttest_ind(equal_var=False)`, `proportions_ztest` with Newcombe's interval, `chisquare`: of tests/public_data."""
    nsw, legislators = _arms("nsw", "treat", "re78"), _arms("legislators", "treat_out", "responded")
    welch_test = scipy.stats.ttest_ind(nsw[1], nsw[0], equal_var=False)
    interval = welch_test.confidence_interval(0.95)
    answered, written = [int(arm.sum()) for arm in legislators], [len(arm) for arm in legislators]
    statistic, p_value = proportions_ztest(answered[::-1], written[::-1])
    bounds = confint_proportions_2indep(
        answered[1], written[1], answered[0], written[0], method="newcomb", compare="diff"
    )
    split = scipy.stats.chisquare(written)
    return [
        _public("nsw", nsw, welch_test.statistic, welch_test.pvalue, (interval.low, interval.high)),
        _public("legislators", legislators, statistic, p_value, bounds)
        | {"split": {"chi2": split.statistic, "p_value": split.pvalue}},
    ]


def _public(name: str, arms_of: Sequence[np.ndarray], statistic: float, p_value: float, interval: Any) -> Case:
    control, treatment = arms_of
    return {
        "file": name,
        "n": [len(control), len(treatment)],
        "mean": [control.mean(), treatment.mean()],
        "difference": treatment.mean() - control.mean(),
        "statistic": statistic,
        "p_value": p_value,
        "ci_low": interval[0],
        "ci_high": interval[1],
    }


def _arms(name: str, arm: str, outcome: str) -> list[np.ndarray]:
    """Return the outcomes of those who were not treated, and of those who were."""
    with (Path(__file__).parents[1] / "public_data" / f"{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [np.array([float(row[outcome]) for row in rows if row[arm] == key]) for key in ("0", "1")]


def multiplicity() -> list[Case]:
    """`multipletests(method="holm")` and `multipletests(method="fdr_bh")`."""
    return [
        {
            "p_values": family,
            "holm": multipletests(family, method="holm")[1].tolist(),
            "benjamini_hochberg": multipletests(family, method="fdr_bh")[1].tolist(),
        }
        for family in FAMILIES
    ]


def power() -> list[Case]:
    """`NormalIndPower`: effect sizes are in standard deviations; nobs1 is the control's."""
    cases: list[Case] = []
    for effect, alpha, wanted, ratio in [(0.1, 0.05, 0.8, 1.0), (0.02, 0.01, 0.9, 1.0), (0.05, 0.05, 0.8, 0.25)]:
        needed = NormalIndPower().solve_power(effect, alpha=alpha, power=wanted, ratio=ratio)
        at_a_thousand = NormalIndPower().power(effect, 1_000, alpha, ratio=ratio)
        cases.append(
            {"effect": effect, "alpha": alpha, "power": wanted, "ratio": ratio}
            | {"control_n": needed, "power_at_1000": at_a_thousand}
        )
    return cases


def ancova() -> list[Case]:
    """`statsmodels.api.OLS` of y on (1, treated, x): the slope on x is the pooled theta, the one on treated the effect.

    tea-tasting's CUPED takes theta from both arms thrown together instead: close, not equal.
    """
    cases: list[Case] = []
    for seed, sizes in enumerate(SIZES):
        control, treatment = arms(seed, *sizes)
        treated = np.repeat([0.0, 1.0], sizes)
        x, y = np.concatenate([control.x, treatment.x]), np.concatenate([control.y, treatment.y])
        fit = statsmodels.api.OLS(y, np.column_stack([np.ones_like(x), treated, x])).fit()
        peer = _tea_tasting(control, treatment, tea_tasting.Mean("y", "x"))
        cases.append(
            _case(control, treatment)
            | {"theta": fit.params[2], "effect": fit.params[1]}
            | {"tea_tasting_effect": peer.effect_size, "tea_tasting_p_value": peer.pvalue}
        )
    return cases


def ratio() -> list[Case]:
    """`tea_tasting.RatioOfMeans("y", "x")`: Welch's t with delta-method variances."""
    cases: list[Case] = []
    for seed, sizes in enumerate(SIZES):
        control, treatment = arms(seed, *sizes)
        peer = _tea_tasting(control, treatment, tea_tasting.RatioOfMeans("y", "x"))
        cases.append(
            _case(control, treatment)
            | {"control_ratio": peer.control, "effect": peer.effect_size, "statistic": peer.statistic}
            | {"p_value": peer.pvalue, "ci_low": peer.effect_size_ci_lower, "ci_high": peer.effect_size_ci_upper}
        )
    return cases


def best_of_several() -> list[Case]:
    """`scipy.integrate.quad` of `phi_i prod Phi_j`, arm by arm, in ordinary space."""
    cases: list[Case] = []
    for means, errors in [
        ([0.0, 0.1, 0.3], [1.0, 1.0, 1.0]),
        ([1.0, 1.02, 0.9, 1.01], [0.02, 0.1, 0.01, 0.03]),
        ([5.0, 5.0], [0.001, 2.0]),
    ]:
        chances = [_chance_to_be_largest(i, np.array(means), np.array(errors)) for i in range(len(means))]
        cases.append({"means": means, "errors": errors, "chances": chances})
    return cases


def planned_looks() -> list[Case]:
    """`scipy.stats.multivariate_normal.cdf` of the box inside the boundaries: 1 - P(no look stops), to 1e-6.

    Z at information fractions s <= t has correlation sqrt(s / t) and mean drift sqrt(t).
    """
    cases: list[Case] = []
    for fractions, boundaries, drift in [
        ([0.5, 1.0], [2.797, 1.977], 0.0),
        ([0.2, 0.4, 0.6, 0.8, 1.0], [4.8769, 3.3569, 2.6803, 2.2898, 2.0310], 0.0),
        ([0.2, 0.4, 0.6, 0.8, 1.0], [4.56, 3.23, 2.63, 2.28, 2.04], 2.8),
        ([0.1, 0.15, 0.7, 1.0], [2.4, 2.5, 2.3, 2.2], 1.5),
    ]:
        t, edge = np.array(fractions), np.array(boundaries)
        correlation = np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t))
        inside = scipy.stats.multivariate_normal(drift * np.sqrt(t), correlation, maxpts=5_000_000, abseps=1e-7)
        stop = 1 - inside.cdf(edge, lower_limit=-edge, rng=np.random.default_rng(1))
        cases.append({"fractions": fractions, "boundaries": boundaries, "drift": drift, "stop": stop})
    return cases


def _chance_to_be_largest(i: int, means: np.ndarray, errors: np.ndarray) -> float:
    others = np.arange(len(means)) != i

    def density(x: float) -> float:
        below = scipy.stats.norm.cdf(x, means[others], errors[others]).prod()
        return float(scipy.stats.norm.pdf(x, means[i], errors[i]) * below)

    low, high = means[i] - 9 * errors[i], means[i] + 9 * errors[i]
    marks = sorted(mark for mark in means[others] if low < mark < high)
    return float(scipy.integrate.quad(density, low, high, points=marks or None, epsabs=1e-12, limit=500)[0])


def _tea_tasting(control: Arm, treatment: Arm, metric: Any) -> Any:
    def aggregates(arm: Arm) -> tea_tasting.aggr.Aggregates:
        covariance = np.cov(arm.x, arm.y)
        return tea_tasting.aggr.Aggregates(
            count_=len(arm.x),
            mean_={"x": arm.x.mean(), "y": arm.y.mean()},
            var_={"x": covariance[0, 0], "y": covariance[1, 1]},
            cov_={("x", "y"): covariance[0, 1]},
        )

    return metric.analyze_aggregates(aggregates(control), aggregates(treatment))


def _case(control: Arm, treatment: Arm) -> Case:
    return {"control": control.moments(), "treatment": treatment.moments()}


def main() -> None:
    """Write one JSON file per method beside this one, each with where its numbers come from."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "statsmodels", "tea-tasting"))
    methods: list[Callable[[], list[Case]]] = [
        chi_square, welch, two_proportions, multiplicity, power, ancova, ratio, best_of_several, planned_looks,
        public_experiments,
    ]  # fmt: skip
    for method in methods:
        page = {"made_by": f"make golden: {method.__name__}()", "source": method.__doc__, "libraries": libraries}
        path = Path(__file__).with_name(f"{method.__name__}.json")
        path.write_text(json.dumps(page | {"cases": method()}, indent=1, default=float) + "\n", "utf-8")


if __name__ == "__main__":
    main()
