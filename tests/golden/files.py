"""Reads the golden files."""

import json
from pathlib import Path
from typing import Any

from experiment_pipeline.domain.aggregates import PairAggregate, VariantAggregate


def golden(name: str) -> Any:
    """A golden file's content."""
    return json.loads(Path(__file__).with_name(f"{name}.json").read_text("utf-8"))


def cases(name: str) -> list[dict[str, Any]]:
    """A golden file's cases."""
    found: list[dict[str, Any]] = golden(name)["cases"]
    return found


def pair(moments: dict[str, float]) -> PairAggregate:
    """One arm of a case."""
    n = int(moments["n"])
    return PairAggregate(n, *(moments[name] for name in ("mean_x", "mean_y", "m2_x", "m2_y", "c_xy")))


def metric(moments: dict[str, float]) -> VariantAggregate:
    """The metric of one arm of a case."""
    return VariantAggregate(int(moments["n"]), moments["mean_y"], moments["m2_y"])
