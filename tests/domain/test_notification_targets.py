"""Targets: which notifications go there, and what is refused, with the field named."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiment_pipeline.domain.notification_targets import (
    Target,
    TargetDraft,
    check_target,
    from_declared,
    to_declared,
    with_paths,
)
from experiment_pipeline.domain.notifications import NotificationEvent, TargetKind
from experiment_pipeline.errors import ConfigurationError

HOOK = TargetDraft(TargetKind.WEBHOOK, url_env="HOOK_URL", secret_file="secret.txt")
FINAL, LATE = NotificationEvent.EXPERIMENT_FINAL, NotificationEvent.DATA_LATE


def target(**changes: object) -> Target:
    return from_declared("hook", to_declared(replace(HOOK, **changes)))  # type: ignore[arg-type]


def test_wants__without_filters__everything() -> None:
    assert all(target().wants(event, "production", "checkout") for event in NotificationEvent)
    assert not target(enabled=False).wants(FINAL, "production", "checkout")


def test_wants__with_filters__what_passes_all_of_them() -> None:
    wanted = target(events=(FINAL,), environments=("production",), experiments=("checkout_*", "pricing"))
    assert wanted.wants(FINAL, "production", "checkout_2")
    assert wanted.wants(FINAL, "production", "pricing")
    assert not wanted.wants(LATE, "production", "pricing")
    assert not wanted.wants(FINAL, "staging", "pricing")
    assert not wanted.wants(FINAL, "production", "pricing_2")


@pytest.mark.parametrize(
    ("draft", "message"),
    [
        (TargetDraft(TargetKind.WEBHOOK), "url_env: Must be given, or url_file"),
        (replace(HOOK, url_file="url.txt"), "url_env: Must be given, or url_file: one of both"),
        (replace(HOOK, secret_file=None), "secret_env: Must be given, or secret_file"),
        (replace(HOOK, kind=TargetKind.APPRISE), "secret_file: Must be left out: only webhooks are signed"),
        (replace(HOOK, url_env="https://example.com/planted"), "url_env: Must be the name of an environment variable"),
        (replace(HOOK, secret_file="https://example.com"), "secret_file: Must be the path of a file"),
        (replace(HOOK, experiments=("a b",)), "experiments.0: Must be the key of an experiment, in which"),
        (replace(HOOK, events=("nothing",)), "events.0: .*decision_reached"),  # type: ignore[arg-type]
    ],
)
def test_check_target__that_breaks_a_rule__is_refused_by_its_field(draft: TargetDraft, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        check_target("hook", draft)
    assert "planted" not in str(refused.value)


def test_with_paths__relative_files__begin_at_the_folder() -> None:
    assert with_paths(HOOK, Path("/etc/pipeline")).secret_file == "/etc/pipeline/secret.txt"
    assert with_paths(replace(HOOK, secret_file="/run/secret"), Path("/etc")).secret_file == "/run/secret"
