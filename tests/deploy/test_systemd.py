"""The systemd units: systemd itself accepts them, and what they start exists."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.commands import check_command, settings_variables
from tests.support.server import ROOT

UNITS = ROOT / "deploy" / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
INSTANCES = {"oms-engine@.service": "0a", "oms-rest@.service": "8001", "oms-web@.service": "8000"}


def example(name: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", (UNITS / name).read_text(), re.MULTILINE))


def instance_of(name: str) -> str:
    return name.replace("@.", f"@{INSTANCES[name]}.") if name in INSTANCES else name


@pytest.mark.parametrize("name", SERVICES)
def test_commands_exist(name: str) -> None:
    text = (UNITS / name).read_text().replace("\\\n", " ")
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    environment = example("oms.env.example") | example("engine.env.example")
    check_command(command.replace("%i", INSTANCES.get(name, "")), environment)


def test_the_example_has_variables_of_the_settings() -> None:
    known = settings_variables() | {"DJANGO_SETTINGS_MODULE", "OMS_REST_HOST", "OMS_WEB_HOST"}
    assert set(example("oms.env.example")) <= known


def test_the_upstreams_are_the_instances_that_the_units_name() -> None:
    told = set(re.findall(r"oms-(?:rest|web)@(\d+)", "".join((UNITS / name).read_text() for name in SERVICES)))
    servers = re.findall(r"127\.0\.0\.1:(\d+)", (ROOT / "deploy" / "nginx" / "upstreams.conf").read_text())
    assert set(servers) == told


def test_systemd_accepts_them(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    shutil.copytree(UNITS, tmp_path, dirs_exist_ok=True)
    for name in SERVICES:
        # Nothing is installed under /opt/oms here.
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", (tmp_path / name).read_text(), flags=re.MULTILINE)
        (tmp_path / name).write_text(text)
    command = ["systemd-analyze", "verify", *(f"./{instance_of(name)}" for name in SERVICES), "./oms.target"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_all_are_hardened_and_come_back(tmp_path: Path) -> None:
    common = (UNITS / "oms-.service.d" / "common.conf").read_text()
    for line in (
        "User=oms",
        "Restart=always",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "StartLimitIntervalSec=0",
    ):
        assert f"\n{line}\n" in common
    assert all(name.startswith("oms-") for name in SERVICES)
