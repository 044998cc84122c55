"""The schema of the results payload in the OpenAPI document, and every payload that a test makes held against it."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs

from experiment_pipeline.results import payload

OPENAPI = Path(__file__).parents[1] / "docs" / "openapi.json"
make_payload = payload.results_payload


def results_validator() -> jsonschema_rs.Validator:
    """Return the validator of the committed document, which here allows no member that it does not declare."""
    components = json.loads(OPENAPI.read_text("utf-8"))["components"]
    closed = {name: _closed(schema) for name, schema in components["schemas"].items()}
    return jsonschema_rs.validator_for(
        {"$ref": "#/components/schemas/ResultsPayload", "components": {"schemas": closed}}
    )


def _closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {**schema, "additionalProperties": False} if "properties" in schema else dict(schema)


def check_every_payload() -> None:
    """Make `results_payload` fail, wherever it is imported from now on, for a payload that is not as documented."""
    validator = results_validator()

    @functools.wraps(make_payload)
    def checked(*args: Any, **named: Any) -> payload.ResultsPayload:
        made = make_payload(*args, **named)
        validator.validate(json.loads(json.dumps(made, allow_nan=False)))
        return made

    payload.results_payload = checked
