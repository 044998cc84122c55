"""Thresholds: what an installation ships with is what its settings say."""

from datetime import timedelta

from experiment_pipeline.health.thresholds import SHIPPED_THRESHOLDS, Thresholds
from experiment_pipeline.settings import Settings


def test_thresholds__shipped__are_those_of_the_settings() -> None:
    assert Thresholds.of(Settings()) == SHIPPED_THRESHOLDS


def test_thresholds__each__is_set_by_a_setting_of_its_own() -> None:
    settings = Settings(
        health_quarantined_share=0.11,
        health_traffic_drop=0.12,
        health_uncovered_start=timedelta(days=13),
        health_event_age=timedelta(days=14),
        health_late_share=0.15,
        health_late_after=timedelta(days=16),
        health_before_exposure_share=0.17,
        health_rejected_share=0.18,
        health_duplicate_share=0.19,
    )
    days = [timedelta(days=number) for number in (13, 14, 16)]
    assert Thresholds.of(settings) == Thresholds(0.11, 0.12, days[0], days[1], 0.15, days[2], 0.17, 0.18, 0.19)
