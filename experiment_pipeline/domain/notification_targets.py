"""Targets of notifications: where they go, which of them, and where their secrets are found."""

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, with_config

from experiment_pipeline.domain.fields import STRICT, EnvironmentKey, FieldErrors, Line, adapter, at_most, rule
from experiment_pipeline.domain.notifications import NotificationEvent, TargetKind
from experiment_pipeline.domain.sources import URL, VARIABLE, SourceKey

FILE_LENGTH = 2_000
PATTERN_LENGTH = 100


def _listed(given: object) -> object:
    return [given] if isinstance(given, str) else given


Variable = Annotated[
    str,
    rule(
        VARIABLE.fullmatch,
        "Must be the name of an environment variable, such as CHAT_WEBHOOK_URL, which holds the secret.",
    ),
    at_most(255),
]
SecretFile = Annotated[
    Line,
    rule(lambda path: URL.match(path) is None, "Must be the path of a file that holds the secret, not a URL."),
    at_most(FILE_LENGTH),
]
Pattern = Annotated[
    Line,
    rule(
        lambda text: all(letter.isalnum() or letter in "_-*" for letter in text),
        "Must be the key of an experiment, in which * stands for any letters: checkout, or checkout_*.",
    ),
    at_most(PATTERN_LENGTH),
]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class TargetDraft:
    """Where notifications go, and which ones."""

    kind: Annotated[TargetKind, Field(description="a signed webhook, or a service that apprise knows")]
    url_env: Annotated[
        Variable | None, Field(description="the environment variable that holds the URL, which is a secret")
    ] = None
    url_file: Annotated[
        SecretFile | None, Field(description="the file that holds the URL, relative to the manifest")
    ] = None
    secret_env: Annotated[
        Variable | None, Field(description="of a webhook: the environment variable that holds the signing secret")
    ] = None
    secret_file: Annotated[
        SecretFile | None, Field(description="of a webhook: the file that holds the signing secret")
    ] = None
    environments: Annotated[
        tuple[EnvironmentKey, ...],
        BeforeValidator(_listed, json_schema_input_type=str | tuple[str, ...]),
        Field(description="of these environments alone; of every one when left out"),
    ] = ()
    events: Annotated[
        tuple[NotificationEvent, ...],
        BeforeValidator(_listed, json_schema_input_type=NotificationEvent | tuple[NotificationEvent, ...]),
        Field(description="these events alone; every one when left out"),
    ] = ()
    experiments: Annotated[
        tuple[Pattern, ...],
        BeforeValidator(_listed, json_schema_input_type=str | tuple[str, ...]),
        Field(description="of experiments with these keys alone, where * stands for any letters; of all when left out"),
    ] = ()
    enabled: Annotated[bool, Field(strict=True, description="false: nothing goes there, and what waits stays")] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(TargetDraft):
    """A target that is declared."""

    key: str

    def wants(self, event: NotificationEvent, environment_key: str, experiment_key: str) -> bool:
        """Whether a notification goes there."""
        return (
            self.enabled
            and (not self.events or event in self.events)
            and (not self.environments or environment_key in self.environments)
            and (not self.experiments or any(fnmatchcase(experiment_key, each) for each in self.experiments))
        )


def check_target(key: str, draft: TargetDraft) -> None:
    """Raise ConfigurationError, which names every field that is wrong, unless a target may be declared so."""
    errors = FieldErrors()
    errors.validate(SourceKey, key, "key")
    errors.validate(TargetDraft, draft)
    one = (draft.url_env is None) != (draft.url_file is None)
    errors.require(one, "url_env", "Must be given, or url_file: one of both. A URL itself is a secret, and not kept.")
    given = [name for name in ("secret_env", "secret_file") if getattr(draft, name) is not None]
    if draft.kind is TargetKind.WEBHOOK:
        errors.require(
            len(given) == 1, "secret_env", "Must be given, or secret_file: one of both. Webhooks are signed."
        )
    for name in given if draft.kind is TargetKind.APPRISE else ():
        errors.add(name, "Must be left out: only webhooks are signed.")
    errors.raise_any()


def with_paths(draft: TargetDraft, folder: Path) -> TargetDraft:
    """Return a target whose files have paths that begin at the root; relative ones begin at the folder."""
    url_file, secret_file = (
        None if path is None else str(folder.absolute() / path) for path in (draft.url_file, draft.secret_file)
    )
    return replace(draft, url_file=url_file, secret_file=secret_file)


def to_declared(target: TargetDraft) -> dict[str, Any]:
    """Return a target as it is stored, JSON-ready, without its key; it holds no secret, only where these are."""
    draft = TargetDraft(**{name: getattr(target, name) for name in TargetDraft.__dataclass_fields__})
    dumped: dict[str, Any] = adapter(TargetDraft).dump_python(draft, mode="json")
    return dumped


def from_declared(key: str, declared: dict[str, Any]) -> Target:
    """Return the target that `to_declared` has rendered."""
    draft = adapter(TargetDraft).validate_python(declared)
    return Target(key=key, **{name: getattr(draft, name) for name in TargetDraft.__dataclass_fields__})
