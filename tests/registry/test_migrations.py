"""Migrations that were released: nobody edits them, since registries exist that went through them as they were."""

from hashlib import sha256
from importlib.resources import files

from experiment_pipeline.registry.engine import head_revision

VERSIONS = files("experiment_pipeline.registry") / "migrations" / "versions"
RELEASED = {  # the first half of each file's SHA-256; a release adds the migrations that are new in it
    "r0001_control_state": "b7ac6103f816707d79e1666f9da86e41",
    "r0002_installation": "faac9e407590e5c1b1b8ba2cee381a43",
    "r0003_time_zone": "e5e41257a40e99bcfbcc2b8567288c8b",
    "r0004_readings": "346e560ec04850a092158164c3cf0b53",
    "r0005_retries": "5d29291ea521a174f6bb6bc3447519b8",
    "r0006_ignored_variants": "b9663c591c14c672afe3670f11ac5336",
    "r0007_health": "ca1ebe6fc4479189a1713f29f624aa27",
    "r0008_accepted_losses": "0849cf7b8d6be4814dd3a7f01e8e351c",
    "r0009_late_events": "67e94b3b8919f50a26cc5538daed7e3a",
    "r0010_metrics_version_2": "d362853c6f7e30b147ed86064e134e80",
    "r0011_later_metrics": "fd7a0cebf00a34c293669de89a142cf0",
    "r0012_audiences": "5fab91564206c0fba63cc76e35f54dbc",
    "r0013_margins": "0a7f8c0916ab34f0a4b966fa3d86daef",
    "r0014_measurements": "8320cdb1a0be1b24c2d907dcd9c7132a",
    "r0015_share_in_metric": "aaf491c28b5eef7706c7d4658da4802b",
    "r0016_priors": "1b94f42570b487dfc07e1ed5a0f0502c",
    "r0017_live_stats": "cae05c413901bdcc94386aa2697a5b22",
    "r0018_planned_looks": "9bb482e898deefdeef958064d622e5bc",
    "r0019_sources": "b1732bf46d4bb921399476c1e5a3ab3d",
    "r0020_phases": "672322e118cc03c975a8b143c0138853",
    "r0021_key_expiry": "cb3c9924da2815993b8622380b49bb4c",
    "r0022_source_failures": "6a19f45d88d776be3962d36668aba912",
    "r0023_tables": "130bcdb70d85390698f6018a3d137258",
    "r0024_notifications": "caff31d85084624826cec82a07f7f7a4",
    "r0025_results_sql": "a0f68c7cf64214a5f25246715ec3d756",
    "r0026_counts_by_environment": "55950594574da144d57002747a4fc8fe",
    "r0027_warehouses": "93497abd091bf53fce885f58e9ff1093",
    "r0028_refresh_costs": "be92cb0e33537ccdbb8528e747bfd2bf",
    "r0029_erasures": "9590038b989a0169b90cf07df44a4f56",
    "r0030_environment_keep": "9f0acd6307e3379c09f6d83b318079c7",
}


def test_released_migrations__are_what_they_were() -> None:
    """A mistake in one is mended by another one after it."""
    found = {name: sha256((VERSIONS / f"{name}.py").read_bytes()).hexdigest()[:32] for name in RELEASED}
    assert found == RELEASED


def test_migrations__are_one_chain_from_the_released_ones_on() -> None:
    names = sorted(path.name for path in VERSIONS.iterdir() if path.name.startswith("r"))
    numbers = [name[1:5] for name in names]
    assert numbers == [f"{number:04}" for number in range(1, len(names) + 1)]
    assert numbers[-1] == head_revision()
    assert [name.removesuffix(".py") for name in names][: len(RELEASED)] == list(RELEASED)
