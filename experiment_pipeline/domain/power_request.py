"""Power requests: what an experiment on a metric is planned for."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, with_config

from experiment_pipeline.domain.fields import STRICT, Alpha, FieldErrors, MetricReference, Number, Power, between, rule

MOST_VARIANTS = 20
SHOWN_VARIANTS = (2, 3, 4, 5)  # where people ask for no number of them
LEAST_TRAFFIC, MOST_TRAFFIC = 0.001, 1e12


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class PowerRequest:
    """The plan that is asked for.

    The metric's level and spread are what refreshes and previews measured of it. Where `covariate` or `cap` is left
    out, both readings are given, as far as there are two.
    """

    metric: Annotated[MetricReference, Field(description="its id or its name")]
    mde: Annotated[
        Annotated[Number, between(0, 5, "Must be a share above 0 and below 5: 0.2 is 20 %.")] | None,
        Field(description="relative lift to detect; left out, only what can be detected in some weeks is given"),
    ] = None
    traffic: Annotated[
        Annotated[
            Number, rule(lambda traffic: LEAST_TRAFFIC <= traffic <= MOST_TRAFFIC, "Must lie between 0.001 and 1e12.")
        ]
        | None,
        Field(description="new identities a day, all variants together; left out, those that were measured"),
    ] = None
    alpha: Alpha = 0.05
    power: Power = 0.8
    variants: Annotated[
        Annotated[
            int,
            Field(strict=True),
            rule(lambda variants: 2 <= variants <= MOST_VARIANTS, f"Must lie between 2 and {MOST_VARIANTS}."),
        ],
        Field(description="with control; all have the same share of the traffic"),
    ] = 2
    covariate: Annotated[bool | None, Field(strict=True, description="adjusted for the pre-period, or not")] = None
    cap: Annotated[bool | None, Field(strict=True, description="with the metric's cap and floor, or without")] = None

    @property
    def treatments(self) -> int:
        """Variants that are compared with control."""
        return self.variants - 1

    def check(self) -> None:
        """Check what no field says alone.

        Raises:
            ConfigurationError: names the field.
        """
        errors = FieldErrors()
        errors.validate(type(self), self)
        if not errors.errors:
            errors.require(self.power > self.alpha, "power", "Must be greater than alpha.")
        errors.raise_any()
