"""compose.yaml without a Docker engine: it is whole, and what it starts exists. (With `docker compose`, that is asked too.)"""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.deploy.commands import check_command, settings_variables
from tests.support.server import ROOT

DEPLOY = ROOT / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "oms"}


def example_variables() -> set[str]:
    return set(re.findall(r"^([A-Z_]+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE))


def test_every_part_of_the_topology_is_there() -> None:
    assert set(SERVICES) == {
        *("postgres", "redis", "migrate", "engine-0", "rest", "web", "saves", "calendar", "nginx"),
    }


@pytest.mark.parametrize("name", OURS)
def test_commands_exist(name: str) -> None:
    check_command(OURS[name]["command"])


@pytest.mark.parametrize("name", OURS)
def test_variables_are_those_of_the_settings(name: str) -> None:
    assert set(OURS[name]["environment"]) <= settings_variables() | {"GRANIAN_BLOCKING_THREADS"}
    assert OURS[name]["environment"]["OMS_ENGINE"] == "remote"


def test_the_example_has_every_variable_and_no_secret() -> None:
    assert set(re.findall(r"\$\{([A-Z_]+)", TEXT)) == example_variables()
    for secret in ("OMS_SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        assert f"\n{secret}=\n" in (DEPLOY / ".env.example").read_text()
        assert re.search(r"\$\{" + secret + r"(?!:\?\})", TEXT) is None, "a secret without a value must stop the start"


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_referred_to_exists(name: str) -> None:
    service = SERVICES[name]
    for other, condition in service.get("depends_on", {}).items():
        wanted = condition["condition"]
        assert wanted == "service_completed_successfully" or "healthcheck" in SERVICES[other]
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert source.startswith("/") or source in COMPOSE["volumes"] or (DEPLOY / source).is_file(), source


def test_images_have_plain_names() -> None:
    assert all(re.fullmatch(r"[a-z]+(:[0-9.]+)?", service["image"]) for service in SERVICES.values())


def test_nginx_finds_its_upstreams_and_is_believed() -> None:
    servers = re.findall(r"server (\S+):(\d+)", (DEPLOY / "nginx" / "upstreams.compose.conf").read_text())
    for name, port in servers:
        assert f"--port {port}" in SERVICES[name]["command"]
    address = SERVICES["nginx"]["networks"]["default"]["ipv4_address"]
    assert SERVICES["web"]["environment"]["OMS_TRUSTED_PROXIES"] == address


def test_storage_is_safe() -> None:
    assert "fsync=on" in SERVICES["postgres"]["command"]
    assert "--appendonly yes" in SERVICES["redis"]["command"]
    assert "noeviction" in SERVICES["redis"]["command"]


def test_a_shard_has_a_standby() -> None:
    assert SERVICES["engine-0"]["deploy"]["replicas"] == 2


def test_docker_agrees() -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    ):
        pytest.skip("docker compose is not installed")
    environment = dict.fromkeys(example_variables(), "x" * 50) | {"PATH": "/usr/bin:/bin:/usr/local/bin"}
    command = ["docker", "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_image_is_built_from_files_there_are() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE):
        for source in line.split():
            assert (ROOT / source).exists(), source
    assert "\nUSER oms\n" in dockerfile
