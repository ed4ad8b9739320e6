"""The environment-driven settings, and the lock files they are installed from."""

import json
import multiprocessing
import os
import re
import stat
import subprocess
import sys
import tomllib
import traceback
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

import oms_project
from oms_project import settings

ROOT = Path(__file__).resolve().parent.parent


def read_settings(var_dir: Path, names: str, **environment: str) -> dict:
    """The settings ``names`` (split at blanks) as a new process with only this environment sees them."""
    code = (
        "import json, sys; from oms_project import settings; "
        "print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}, default=str))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *names.split()],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "OMS_VAR_DIR": str(var_dir), **environment},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_defaults_are_safe(tmp_path):
    seen = read_settings(
        tmp_path,
        "DEBUG ALLOWED_HOSTS CSRF_TRUSTED_ORIGINS OMS_PUBLIC_MARKET_DATA SESSION_COOKIE_HTTPONLY CSRF_COOKIE_HTTPONLY "
        "SESSION_COOKIE_SAMESITE X_FRAME_OPTIONS SECURE_PROXY_SSL_HEADER",
    )
    assert seen == {
        "DEBUG": False,
        "ALLOWED_HOSTS": ["localhost", "127.0.0.1", "[::1]"],
        "CSRF_TRUSTED_ORIGINS": [],
        "OMS_PUBLIC_MARKET_DATA": True,
        "SESSION_COOKIE_HTTPONLY": True,
        "CSRF_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "X_FRAME_OPTIONS": "DENY",
        "SECURE_PROXY_SSL_HEADER": None,
    }


def test_default_database_is_a_durable_file_in_the_var_directory(tmp_path):
    (database,) = read_settings(tmp_path / "new", "DATABASES")["DATABASES"].values()
    assert database["NAME"] == str(tmp_path / "new" / "oms.sqlite3")
    assert database["CONN_MAX_AGE"] == 0
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_sqlite_connections_write_ahead_and_sync_fully(tmp_path):
    code = (
        "import django; django.setup(); from django.db import connection as c; k = c.cursor(); "
        "print(*[k.execute(f'PRAGMA {p}').fetchone()[0] for p in ('journal_mode', 'synchronous', 'foreign_keys')])"
    )
    environment = {"PATH": os.environ["PATH"], "OMS_VAR_DIR": str(tmp_path)}
    environment["DJANGO_SETTINGS_MODULE"] = "oms_project.settings"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.stdout.split() == ["wal", "2", "1"], result.stderr  # 2 is FULL


def test_environment_is_obeyed(tmp_path):
    seen = read_settings(
        tmp_path,
        "DEBUG ALLOWED_HOSTS CSRF_TRUSTED_ORIGINS OMS_PUBLIC_MARKET_DATA SECRET_KEY DATABASES",
        OMS_DEBUG="on",
        OMS_ALLOWED_HOSTS="oms.example, 10.0.0.5",
        OMS_CSRF_TRUSTED_ORIGINS="https://oms.example",
        OMS_PUBLIC_MARKET_DATA="0",
        OMS_SECRET_KEY="from the environment",
        DATABASE_URL="postgres://oms@db/oms",
    )
    assert seen["DEBUG"] is True
    assert seen["ALLOWED_HOSTS"] == ["oms.example", "10.0.0.5"]
    assert seen["CSRF_TRUSTED_ORIGINS"] == ["https://oms.example"]
    assert seen["OMS_PUBLIC_MARKET_DATA"] is False
    assert seen["SECRET_KEY"] == "from the environment"
    assert seen["DATABASES"]["default"]["HOST"] == "db"
    assert list(tmp_path.iterdir()) == []  # nothing was needed there, so nothing was made


def test_https_turns_everything_on(tmp_path):
    names = "SESSION_COOKIE_SECURE CSRF_COOKIE_SECURE SECURE_SSL_REDIRECT SECURE_HSTS_SECONDS SECURE_PROXY_SSL_HEADER"
    seen = read_settings(tmp_path, names, OMS_HTTPS="1")
    assert seen.pop("SECURE_HSTS_SECONDS") >= 24 * 3600
    assert seen.pop("SECURE_PROXY_SSL_HEADER") == ["HTTP_X_FORWARDED_PROTO", "https"]
    assert seen == {"SESSION_COOKIE_SECURE": True, "CSRF_COOKIE_SECURE": True, "SECURE_SSL_REDIRECT": True}


@pytest.mark.parametrize(
    ("word", "value"), [("1", True), ("TRUE", True), (" on ", True), ("no", False), ("off", False), ("", True)]
)
def test_env_bool(monkeypatch, word, value):
    monkeypatch.setenv("OMS_TEST_SWITCH", word)
    assert settings.env_bool("OMS_TEST_SWITCH", default=True) is value


def test_env_bool_refuses_other_words(monkeypatch):
    monkeypatch.setenv("OMS_TEST_SWITCH", "maybe")
    with pytest.raises(ImproperlyConfigured, match="OMS_TEST_SWITCH must be on or off"):
        settings.env_bool("OMS_TEST_SWITCH", default=False)


def test_logs_are_text_or_json(tmp_path):
    for environment, formatter in (({}, "text"), ({"OMS_LOG_FORMAT": "JSON"}, "json")):
        logging = read_settings(tmp_path, "LOGGING", **environment)["LOGGING"]
        assert logging["handlers"]["stderr"]["formatter"] == formatter
        assert formatter in logging["formatters"]


def test_env_choice_refuses_other_words(monkeypatch):
    monkeypatch.setenv("OMS_TEST_CHOICE", "xml")
    with pytest.raises(ImproperlyConfigured, match="OMS_TEST_CHOICE must be text or json, not 'xml'"):
        settings.env_choice("OMS_TEST_CHOICE", "text", "json")


def test_env_networks(monkeypatch):
    read = settings.env_networks
    assert [str(network) for network in read("OMS_TEST_NETWORKS", "127.0.0.0/8,::1")] == ["127.0.0.0/8", "::1/128"]
    monkeypatch.setenv("OMS_TEST_NETWORKS", "10.1.0.0/16, 192.0.2.7")
    assert [str(network) for network in read("OMS_TEST_NETWORKS", "")] == ["10.1.0.0/16", "192.0.2.7/32"]
    monkeypatch.setenv("OMS_TEST_NETWORKS", "")
    assert read("OMS_TEST_NETWORKS", "127.0.0.0/8") == ()


@pytest.mark.parametrize("word", ["everywhere", "10.1.0.1/16", "10.0.0.0/33"])
def test_env_networks_refuses_what_is_none(monkeypatch, word):
    monkeypatch.setenv("OMS_TEST_NETWORKS", word)
    with pytest.raises(ImproperlyConfigured, match="OMS_TEST_NETWORKS must be networks"):
        settings.env_networks("OMS_TEST_NETWORKS", "")


def test_database_url_sqlite():
    assert settings.parse_database_url("sqlite:////srv/oms/book.sqlite3")["NAME"] == Path("/srv/oms/book.sqlite3")
    relative = settings.parse_database_url("sqlite:///data/my%20book.sqlite3")
    assert relative["NAME"] == settings.BASE_DIR / "data/my book.sqlite3"
    assert relative["OPTIONS"]["timeout"] == 5
    assert relative["TEST"]["NAME"].parent == settings.BASE_DIR / "data"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_database_url_postgres(scheme):
    url = f"{scheme}://o%40ms:p%2F%3A%23w@db.example:6432/oms?sslmode=require&connect_timeout=3"
    assert settings.parse_database_url(url) == {
        "ENGINE": "oms_project.postgres",
        "NAME": "oms",
        "USER": "o@ms",
        "PASSWORD": "p/:#w",
        "HOST": "db.example",
        "PORT": "6432",
        "OPTIONS": {"sslmode": "require", "connect_timeout": "3"},
    }


def test_database_url_postgres_by_socket_directory():
    database = settings.parse_database_url("postgres://%2Frun%2Fpostgresql/oms")
    assert (database["HOST"], database["PORT"], database["USER"]) == ("/run/postgresql", "", "")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://u:hunter2@h/db", "must begin with"),
        ("oms.sqlite3", "must begin with"),
        ("sqlite:///", "must name a database"),
        ("sqlite:///:memory:", "not in memory"),
        ("sqlite://relative.sqlite3", "must name a database"),
        ("sqlite://host/file.sqlite3", "no host"),
        ("sqlite:///file.sqlite3?mode=ro", "no '?'"),
        ("postgres://u:hunter2@h", "must name a database"),
        ("postgres://u:hunter2@h/", "must name a database"),
        ("postgres://u:hunter2@h/a/b", "holds a '/'"),
        ("postgres://u:hunter2@h:port/db", "not a valid URL"),
        ("postgres://u:hunter2@h:99999/db", "not a valid URL"),
        ("postgres://u:hunter2#@h/db", "not a valid URL"),
        ("postgres://u:pw@h/db#hunter2", "'#'"),
        ("postgres://u:hunter2@h/db?sslmode", "not a valid URL"),
        ("postgres://u:hunter2@h/db?sslmod=require", "unknown parameter sslmod"),
        ("postgres://u:hunter2@[h/db", "not a valid URL"),
    ],
)
def test_bad_database_urls_say_why_without_the_password(url, says):
    with pytest.raises(ImproperlyConfigured, match=re.escape(says)) as caught:
        settings.parse_database_url(url)
    assert "hunter2" not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_secret_is_made_once_and_only_for_us(tmp_path):
    path = tmp_path / "var" / "secret_key"
    secret = settings.stored_secret(path)
    assert len(secret) >= 50
    assert settings.stored_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["secret_key"]


def test_processes_starting_at_once_agree_on_the_secret(tmp_path):
    path = tmp_path / "secret_key"
    with multiprocessing.get_context("fork").Pool(8) as pool:
        secrets = pool.map(settings.stored_secret, [path] * 32, chunksize=1)
    assert set(secrets) == {path.read_text()}
    assert os.listdir(tmp_path) == ["secret_key"]


def test_unusable_secret_is_refused(tmp_path):
    path = tmp_path / "secret_key"
    path.write_text("")
    with pytest.raises(ImproperlyConfigured, match="no usable secret"):
        settings.stored_secret(path)


def test_tests_stay_out_of_var(settings):
    assert settings.VAR_DIR != settings.BASE_DIR / "var"
    for database in settings.DATABASES.values():
        assert not str(database["NAME"]).startswith(str(settings.BASE_DIR))


def test_version_is_the_package_version(settings):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == oms_project.__version__ == settings.SPECTACULAR_SETTINGS["VERSION"]


LOCKS = ("requirements.lock", "requirements-dev.lock")


def pinned(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_files_pin_hashes_and_name_no_address(lock):
    lines = (ROOT / lock).read_text().splitlines()
    starts = [line for line in lines if not line.startswith(" ")]
    assert all("==" in line and line.endswith("\\") for line in starts)
    rest = [line for line in lines if line.startswith(" ")]
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in rest)
    assert not [line for line in lines if "://" in line or "@ " in line]


def test_lock_files_agree_and_hold_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime, development = (pinned(lock) for lock in LOCKS)
    assert runtime.items() <= development.items()
    names = [re.match(r"[\w-]+", requirement)[0] for requirement in project["dependencies"]]
    assert set(names) <= runtime.keys()
    names = [re.match(r"[\w-]+", requirement)[0] for requirement in project["optional-dependencies"]["dev"]]
    assert set(names) <= development.keys()
