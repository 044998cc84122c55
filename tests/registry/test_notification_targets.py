"""Targets of notifications in the registry: declared, changed, audited, and never with a secret."""

from dataclasses import replace

import pytest

from experiment_pipeline.domain.notification_targets import TargetDraft
from experiment_pipeline.domain.notifications import TargetKind
from experiment_pipeline.errors import ConfigurationError, NotFound
from experiment_pipeline.registry.registry import Registry
from tests.registry.conftest import ACTOR, NOW

HOOK = TargetDraft(TargetKind.WEBHOOK, url_env="HOOK_URL", secret_env="HOOK_SECRET", environments=("production",))


def test_declare__new_changed_and_as_it_is__is_audited_where_it_changes(registry: Registry) -> None:
    targets = registry.notification_targets
    declared = targets.declare("team", HOOK, actor=ACTOR, now=NOW)
    assert targets.declare("team", HOOK, actor=ACTOR, now=NOW) == declared == targets.find("team")
    changed = targets.declare("team", replace(HOOK, enabled=False), actor=ACTOR, now=NOW)
    assert targets.list() == [changed]
    logged = registry.audit.list(subject="notification_target:team")
    assert [each.action for each in logged] == ["change", "create"]
    assert logged[0].after is not None
    assert logged[0].after["url_env"] == "HOOK_URL"


def test_declare__wrongly__is_refused(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match=r"environments\.0: No environment 'nowhere'"):
        registry.notification_targets.declare("team", replace(HOOK, environments=("nowhere",)), actor=ACTOR, now=NOW)
    with pytest.raises(ConfigurationError, match="secret_env"):
        registry.notification_targets.declare("team", replace(HOOK, secret_env=None), actor=ACTOR, now=NOW)
    assert registry.notification_targets.list() == []


def test_find__unknown__suggests_one(registry: Registry) -> None:
    registry.notification_targets.declare("team", HOOK, actor=ACTOR, now=NOW)
    with pytest.raises(NotFound, match=r"No target 'taem' of notifications\. Did you mean 'team'\?"):
        registry.notification_targets.find("taem")
