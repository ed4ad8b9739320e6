"""`make cluster`: the topology to be looked at."""

import os
import re
import signal
import subprocess
import sys
from http.client import HTTPConnection

import pytest

from tests.conftest import missing
from tests.support.server import ROOT
from tests.support.services import ServiceMissing, find_program


def test_it_starts_tells_what_there_is_and_ends() -> None:
    try:
        for names in (("nginx",), ("redis-server",)):
            find_program(*names, places="../sbin/nginx")
    except ServiceMissing as absence:
        missing(absence)
    command = [sys.executable, "deploy/cluster.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = ""
        for line in process.stdout:
            told += line
            if "Ctrl-C" in line:
                break
        else:
            pytest.fail(told)
        try:
            (port,) = re.findall(r"http://127\.0\.0\.1:(\d+)/ ", told)
            (key,) = re.findall(r"(oms_\S+)  \(alice\)", told)
            connection = HTTPConnection("127.0.0.1", int(port), timeout=10)
            connection.request("GET", "/api/v1/account", headers={"Authorization": f"Bearer {key}"})
            assert connection.getresponse().status == 200
            assert len(re.findall(r"^ *\d+  (?:engine|rest|sockets)", told, re.MULTILINE)) == 5
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
