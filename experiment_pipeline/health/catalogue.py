"""Every health check there is, found by listing this folder: a new check is one new file, and its test."""

from importlib import import_module
from pkgutil import iter_modules

from experiment_pipeline import health
from experiment_pipeline.health.health_check import HealthCheck

NOT_CHECKS = {"catalogue", "finding", "health_check", "inputs", "thresholds"}


def find_checks() -> tuple[HealthCheck, ...]:
    """Return the `CHECK` of every module of this folder, in the order of their file names.

    Raises:
        TypeError: a module has no `CHECK`.
        ValueError: two checks have one name.
    """
    names = sorted(module.name for module in iter_modules(health.__path__) if module.name not in NOT_CHECKS)
    checks = tuple(_check_of(name) for name in names)
    if len({check.name for check in checks}) < len(checks):
        raise ValueError(f"health checks: names must be unique, got {', '.join(check.name for check in checks)}")
    return checks


def _check_of(name: str) -> HealthCheck:
    check = getattr(import_module(f"{health.__name__}.{name}"), "CHECK", None)
    if not isinstance(check, HealthCheck):
        raise TypeError(f"{health.__name__}.{name}: must hold its HealthCheck as CHECK")
    return check


HEALTH_CHECKS = find_checks()
