"""An experiment on Dagster's asset pages: its name, links, and the same summary that its report has.

A page is worth no failed refresh: it is made once the payload is published, and left out where it cannot be.
"""

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

import dagster as dg
import structlog

from experiment_pipeline.assets.metadata import Metadata
from experiment_pipeline.domain.experiments import expected_shares
from experiment_pipeline.domain.refresh import Computation, ComputationState, ComputedTogether, StoredHealth
from experiment_pipeline.domain.texts import printable, shortened
from experiment_pipeline.pages.markdown import Extent, experiment_markdown, exposures_markdown
from experiment_pipeline.pages.split import exposures_view
from experiment_pipeline.pages.view import experiment_view
from experiment_pipeline.resources.refresh_session import ExperimentRun
from experiment_pipeline.results.payload import ExposuresPayload

NAME_SHOWN = 120  # characters
EXTENT = Extent(characters=28_000, rows=40, notes=15)  # an event is to have less than 50 kB in all
LOOKS_SHOWN = 20
log = structlog.get_logger(__name__)


def described(run: ExperimentRun) -> Metadata:
    """Return what every asset of a partition says of its experiment first: which one it is."""
    experiment = run.experiment
    phase = f", phase {experiment.phase}" if experiment.ended_phases else ""
    name = printable(shortened(experiment.name, NAME_SHOWN))
    return {"experiment": dg.MetadataValue.text(f"{name} ({experiment.key} in {experiment.environment_key}{phase})")}


def links(run: ExperimentRun) -> Metadata:
    """Return where the page and the payloads of an experiment are; of the payloads without a known address the path."""
    experiment, base, told = run.experiment, run.settings.public_url, Metadata()
    environment, key = quote(experiment.environment_key, safe=""), quote(experiment.key, safe="")
    path, phase = f"/environments/{environment}/experiments/{key}/", f"?phase={experiment.phase}"
    phase = phase if experiment.ended_phases else ""
    if base is not None:
        told["results_page"] = dg.MetadataValue.url(f"{base}{path}{phase}")
    for computation in Computation:
        address = f"/api/v1{path}{computation.value}/{phase}"
        known = base is not None
        told[f"api_{computation.value}"] = (
            dg.MetadataValue.url(f"{base}{address}") if known else dg.MetadataValue.text(f"GET {address}")
        )
    return told


def results_summary(
    run: ExperimentRun, published: ComputationState, findings: Sequence[Mapping[str, object]]
) -> Metadata:
    """Return results that were just published for people: the decision in a line, and the summary with pictures."""

    def summary() -> Metadata:
        experiment, registry = run.experiment, run.registry
        exposures = registry.computations.get(experiment.id, Computation.EXPOSURES, experiment.phase)
        if not exposures.agrees_with(published):
            exposures = exposures.without_payload()
        health = StoredHealth(run.scope.window.as_of, run.scope.data_version, findings)
        looks = registry.looks.list(experiment.id, experiment.phase, limit=LOOKS_SHOWN)
        view = experiment_view(experiment, ComputedTogether(exposures, published), health, looks, floors=run.floors)
        decision = view.results and view.results.decision
        told: Metadata = {}
        if decision:
            why = shortened(decision.why, NAME_SHOWN * 2)
            told["decision"] = dg.MetadataValue.text(f"{decision.action}: {why}")
        return told | {"summary": dg.MetadataValue.md(experiment_markdown(view, EXTENT))}

    return _made(summary)


def exposures_summary(run: ExperimentRun, exposures: ExposuresPayload) -> Metadata:
    """Return the summary of exposures that were just published: who came, beside the configured split."""

    def summary() -> Metadata:
        compared, shares = run.experiment.compared_keys, expected_shares(run.experiment.variants)
        known = shares if isinstance(shares, dict) else {}
        shown = exposures_markdown(exposures_view(exposures, compared, known))
        return {"summary": dg.MetadataValue.md(shown)}

    return _made(summary)


def _made(make: Callable[[], Metadata]) -> Metadata:
    try:
        return make()
    except Exception as error:
        log.exception("page.not_made", exc_info=error)
        return {}
