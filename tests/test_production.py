"""Several processes for strangers: what would do on a developer's machine stops the start, whatever the command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from oms_project import production

ROOT = Path(__file__).resolve().parent.parent
SECRET = "0123456789-of-a-test-and-of-nothing-else-0123456789-0123456789"
SAFE = {"debug": False, "secret": SECRET, "hosts": ["oms.example", ".oms.example"]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"debug": True}, "OMS_DEBUG must be off"),
        ({"secret": ""}, "needs OMS_SECRET_KEY, the same for all processes"),
        ({"secret": SECRET[:49]}, "50 random characters or more"),
        ({"secret": "ab" * 40}, "50 random characters or more"),
        ({"secret": "django-insecure-" + SECRET}, "50 random characters or more"),
        ({"hosts": ["oms.example", "*"]}, "OMS_ALLOWED_HOSTS must name the hosts"),
    ],
)
def test_what_is_not_safe_is_refused_in_a_sentence(change, says):
    with pytest.raises(ImproperlyConfigured, match=says) as refused:
        production.refuse_unsafe(**{**SAFE, **change})
    assert str(refused.value).count(".") <= 2 and SECRET[:49] not in str(refused.value)


def test_what_is_safe_is_not():
    production.refuse_unsafe(**SAFE)


def started(tmp_path: Path, *arguments: str, **environment: str) -> str:
    """What a command says that must not start."""
    fixed = {
        "PATH": os.environ["PATH"],
        "OMS_VAR_DIR": str(tmp_path),
        "OMS_ENGINE": "remote",
        "DATABASE_URL": "postgres://oms@127.0.0.1:1/oms",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "OMS_SECRET_KEY": SECRET,
        **environment,
    }
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=fixed, capture_output=True, text=True)
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("manage.py", "serve"),
        ("manage.py", "migrate"),
        ("manage.py", "run_engine", "--shard", "0"),
        ("-c", "from oms_project import wsgi"),
    ],
)
def test_every_command_says_so(tmp_path, arguments):
    assert "OMS_DEBUG must be off" in started(tmp_path, *arguments, OMS_DEBUG="on")


@pytest.mark.parametrize(
    "environment", [{"REDIS_URL": ""}, {"DATABASE_URL": "sqlite:///x.sqlite3"}, {"DATABASE_URL": ""}]
)
def test_engines_elsewhere_need_both_servers(tmp_path, environment):
    said = started(tmp_path, "manage.py", "check", **environment)
    assert "OMS_ENGINE=remote needs REDIS_URL and a DATABASE_URL of PostgreSQL." in said


def test_the_layer_is_one_that_keeps_nothing_and_notices_a_dead_connection():
    configured = production.channel_layer("redis://127.0.0.1:1/0")
    assert import_string(configured["BACKEND"]).__name__ == "RedisPubSubChannelLayer"
    (host,) = configured["CONFIG"]["hosts"]
    assert host["socket_keepalive"] and host["socket_connect_timeout"] <= 5
