"""``deploy/nginx`` for real: a throwaway nginx with those very files, on a free port, before processes on others."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.support.server import ROOT
from tests.support.services import find_program, free_port, stop

SOURCES = ROOT / "deploy" / "nginx"
START_SECONDS = 20.0

# What /etc/nginx/nginx.conf gives a site on any distribution, as far as it matters here.
_MAIN = """
daemon off;
{user}
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/conf.d/*.conf;
}}
"""

_UPSTREAM = "upstream {name} {{ {servers} keepalive 16; keepalive_timeout 15s; }}\n"


class Nginx:
    """``with Nginx(directory, rest=[8001], web=[8000]) as nginx: … nginx.port``."""

    def __init__(self, directory: Path, *, rest: list[int], web: list[int]) -> None:
        self.program = find_program("nginx", places="../sbin/nginx")
        self.directory = directory
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        (directory / "conf.d").mkdir(parents=True)
        user = "user root;" if os.geteuid() == 0 else ""  # the workers read a directory of ours
        (directory / "nginx.conf").write_text(_MAIN.format(directory=directory, user=user))
        (directory / "locations.conf").write_text(
            (SOURCES / "oms-locations.conf").read_text().replace("/var/log/nginx", str(directory))
        )
        (directory / "conf.d" / "oms.conf").write_text(
            (SOURCES / "oms.conf")
            .read_text()
            .replace("listen 80;", f"listen 127.0.0.1:{self.port};")
            .replace("/etc/nginx/oms-locations.conf", str(directory / "locations.conf"))
        )
        upstreams = {"oms_rest": rest, "oms_web": web}
        (directory / "conf.d" / "upstreams.conf").write_text(
            "".join(
                _UPSTREAM.format(name=name, servers=" ".join(f"server 127.0.0.1:{port};" for port in ports))
                for name, ports in upstreams.items()
            )
        )

    def check(self) -> str:
        """What ``nginx -t`` says of the configuration; raises ``AssertionError`` where that is a fault."""
        command = [self.program, "-t", "-c", self.directory / "nginx.conf", "-e", self.directory / "error.log"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def __enter__(self) -> "Nginx":
        command = [self.program, "-c", self.directory / "nginx.conf", "-e", self.directory / "error.log"]
        self.process = subprocess.Popen(command)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            except OSError:
                time.sleep(0.02)
        self.__exit__()
        raise RuntimeError(f"nginx did not start:\n{self.errors()}")

    def __exit__(self, *exc: object) -> None:
        if self.process is not None:
            stop(self.process, signal.SIGTERM)

    def errors(self) -> str:
        log = self.directory / "error.log"
        return log.read_text() if log.exists() else ""

    def lines(self) -> list[str]:
        """What the access log has so far."""
        return (self.directory / "access.log").read_text().splitlines()
