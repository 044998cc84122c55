"""A registry on each database, and experiments to fill it with."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from experiment_pipeline.domain.drafts import ExperimentDraft, VariantDraft
from experiment_pipeline.domain.experiments import Experiment, ExperimentStatus
from experiment_pipeline.registry.registry import Registry

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ACTOR = "tests"


@pytest.fixture
def registry(database_url: str) -> Iterator[Registry]:
    """An empty registry with the environment `production`."""
    opened = Registry.open(database_url)
    opened.environments.create("production", "Production", actor=ACTOR, now=NOW)
    yield opened
    opened.close()


@pytest.fixture
def running(registry: Registry) -> Experiment:
    """An experiment that started at NOW."""
    created = registry.experiments.create("production", draft(), actor=ACTOR, now=NOW)
    return registry.experiments.transition(created.id, ExperimentStatus.RUNNING, actor=ACTOR, now=NOW)


def draft(feature: str = "checkout_button", **changes: object) -> ExperimentDraft:
    """Half of the traffic sees one treatment."""
    values: dict[str, object] = {
        "name": feature,
        "hypothesis": "",
        "variants": (VariantDraft("treatment", 50.0),),
        **changes,
    }
    return ExperimentDraft(feature=feature, **values)  # type: ignore[arg-type]
