"""Settings: every variable at fault is named, and nothing secret is ever shown."""

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.registry.registry import Registry
from experiment_pipeline.settings import PREFIX, Settings, read_settings

SECRET = "postgresql+psycopg://user:hunter2@localhost/registry"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"{PREFIX}{name.upper()}", raising=False)


def test_settings__without_variables__keep_everything_below_one_folder() -> None:
    settings = read_settings()
    folders = (
        settings.landing_dir,
        settings.lake_dir,
        settings.artifacts_dir,
        settings.spill_dir,
        settings.dagster_home,
    )
    assert len(set(folders)) == len(folders)
    assert all(folder.parent == Path("data") for folder in folders)
    assert settings.database_url == f"sqlite:///{Path('data/registry.sqlite').absolute()}"


def test_settings__from_variables__are_read_with_their_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", "/srv/experiments")
    monkeypatch.setenv(f"{PREFIX}REFRESH_MIN_INTERVAL", "90")
    monkeypatch.setenv(f"{PREFIX}FINALITY_GRACE", "PT2H")
    monkeypatch.setenv(f"{PREFIX}REGISTRY_URL", SECRET)
    settings = read_settings()
    assert settings.lake_dir == Path("/srv/experiments/lake")
    assert settings.refresh_min_interval == timedelta(seconds=90)
    assert settings.finality_grace == timedelta(hours=2)
    assert settings.database_url == SECRET


@pytest.mark.parametrize(
    "wrong", ["example.com", "ftp://example.com", "https://", "https://me:x@example.com", "http://x/?q"]
)
def test_settings__public_url__is_an_address_without_a_password_or_a_query(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv(f"{PREFIX}PUBLIC_URL", "https://experiments.example.com/ab/")
    assert read_settings().public_url == "https://experiments.example.com/ab"
    monkeypatch.setenv(f"{PREFIX}PUBLIC_URL", wrong)
    with pytest.raises(ConfigurationError, match=r"PUBLIC_URL.* must be an http or https address"):
        read_settings()


def test_settings__asset_owners__are_teams_and_e_mail_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}ASSET_OWNERS", "team:growth, ada@example.com")
    assert read_settings().owners == ["team:growth", "ada@example.com"]
    for wrong in ("growth", "team:", "team:a b", "ada@", "team:a,,team:b"):
        monkeypatch.setenv(f"{PREFIX}ASSET_OWNERS", wrong)
        with pytest.raises(ConfigurationError, match=r"ASSET_OWNERS.* is neither team:<name> nor an e-mail address"):
            read_settings()


def test_settings__landing_timezone__is_of_the_iana_database(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().landing_zone_info is None
    monkeypatch.setenv(f"{PREFIX}LANDING_TIMEZONE", "Asia/Kolkata")
    assert read_settings().landing_zone_info == ZoneInfo("Asia/Kolkata")
    for wrong in ("Asia/Kolkatta", "+02:00", "/etc", "../x"):
        monkeypatch.setenv(f"{PREFIX}LANDING_TIMEZONE", wrong)
        with pytest.raises(ConfigurationError, match="is no time zone of the IANA database"):
            read_settings()
    monkeypatch.setenv(f"{PREFIX}LANDING_TIMEZONE", "Asia/Kolkatta")
    with pytest.raises(ConfigurationError, match=r"Did you mean Asia/Kolkata\?, e\.g\. Europe/Paris or UTC"):
        read_settings()


BAD = {
    "WAREHOUSE": "oracle",
    "DUCKDB_MEMORY_LIMIT": "plenty",
    "DUCKDB_THREADS": "0",
    "REFRESH_MIN_INTERVAL": "-1",
    "FINALITY_GRACE": "soon",
    "LEASE_DURATION": "0",
    "INGESTION_INTERVAL": "-1",
    "COLLECTOR_ENVIRONMENT_SHARE": "1.5",
    "COLLECTOR_SENDER_SHARE": "0",
    "HTTP_BODY_DEADLINE": "0",
    "HTTP_BODY_RATE": "0",
    "HTTP_CONNECTIONS": "1",
    "HTTP_CONNECTIONS_PER_SENDER": "0",
    "HTTP_HEAD_DEADLINE": "never",
    "HTTP_KEEP_ALIVE": "0",
    "LANDING_TIMEZONE": "Europe/Pari",
    "TRUSTED_PROXIES": "10.0.0.1, proxy",
    "AUTOMATIC_RUNS": "0",
    "RUN_HISTORY": "0",
    "MINIMUM_IDENTITIES": "1",
    "MINIMUM_CONVERSIONS": "many",
}


@pytest.mark.parametrize("name", BAD)
def test_settings__bad_variable__is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}{name}", BAD[name])
    with pytest.raises(ConfigurationError) as refused:
        read_settings()
    assert list(refused.value.errors) == [f"{PREFIX}{name}"]
    assert "\n" not in str(refused.value)


def test_settings__every_bad_variable__is_named_at_once_and_nothing_secret_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(f"{PREFIX}REGISTRY_URL", SECRET)
    for name, value in BAD.items():
        monkeypatch.setenv(f"{PREFIX}{name}", value)
    with pytest.raises(ConfigurationError) as refused:
        read_settings()
    assert set(refused.value.errors) == {f"{PREFIX}{name}" for name in BAD}
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__, "a traceback must not show what pydantic was given"


def test_settings__shown_or_dumped__hide_the_registry_url() -> None:
    settings = Settings(registry_url=SECRET)
    for shown in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "hunter2" not in shown


def test_settings__once_read__cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Settings(), "data_dir", Path("elsewhere"))  # noqa: B010 - the type checker knows it, too


def test_settings__nearly_named__is_refused_with_the_name_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}DUCKB_THREADS", "8")
    with pytest.raises(ConfigurationError) as refused:
        read_settings()
    assert refused.value.errors == {
        f"{PREFIX}DUCKB_THREADS": [f"is no setting. Did you mean {PREFIX}DUCKDB_THREADS?"],
    }


@pytest.mark.parametrize("name", ["SERVICE_HOST", "PORT_8000_TCP_ADDR", "COLLECTOR_PORT", "REGISTRY_PORT"])
def test_settings__variables_that_kubernetes_sets_for_services_named_like_us__are_left_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}{name}", "10.0.0.1")
    assert read_settings().duckdb_threads == 2


def test_settings__empty_variable__is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", "")
    assert read_settings().data_dir == Path("data")


def test_settings__bad_size_or_duration__shows_good_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}DUCKDB_MEMORY_LIMIT", "2gb")
    monkeypatch.setenv(f"{PREFIX}FINALITY_GRACE", "soon")
    with pytest.raises(ConfigurationError) as refused:
        read_settings()
    assert refused.value.errors[f"{PREFIX}DUCKDB_MEMORY_LIMIT"][0].endswith("e.g. 512MiB or 2GiB")
    assert refused.value.errors[f"{PREFIX}FINALITY_GRACE"][0].endswith("e.g. 90 or PT1H30M")


@pytest.mark.parametrize("folder", ["a%20b", "a b", "what?", "a#b", "ä"])
def test_database_url__opens_the_registrys_file_whatever_the_folder_is_called(folder: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / folder)
    Registry.open(settings.database_url).close()
    assert settings.registry_file is not None
    assert settings.registry_file.exists()


@pytest.mark.parametrize(("given", "missing"), [("TLS_CERTIFICATE", "TLS_KEY"), ("TLS_KEY", "TLS_CERTIFICATE")])
def test_settings__certificate_or_key_alone__names_the_other(
    monkeypatch: pytest.MonkeyPatch, given: str, missing: str
) -> None:
    monkeypatch.setenv(f"{PREFIX}{given}", "/etc/ssl/one.pem")
    with pytest.raises(ConfigurationError, match=f"{PREFIX}{missing}: is needed"):
        read_settings()
