"""Throwaway PostgreSQL, Redis and Chromium for tests: on 127.0.0.1, on free ports, in temporary directories.

``postgres_server()`` and ``redis_server()`` are context managers that yield a URL and leave nothing behind;
``find_chromium()`` gives the browser, whose ``open()`` yields a fresh Selenium driver. Where the programs are not
installed each raises ``ServiceMissing``.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from selenium import webdriver

START_SECONDS = 30.0  # generous: shared build machines start servers slowly
STOP_SECONDS = 10.0

# PostgreSQL refuses to run as root; any of these will do instead.
UNPRIVILEGED_USERS = ("postgres", "nobody")


class ServiceMissing(RuntimeError):
    """The program is not installed; the message names it."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 nobody listens on. Another process may take it first: start servers with a retry."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find_program(*names: str, places: str = "") -> Path:
    """The first of ``names`` on PATH, else the newest match of the glob ``places`` under /usr/lib."""
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    if places and (matches := sorted(Path("/usr/lib").glob(places), key=_version)):
        return matches[-1]
    raise ServiceMissing(f"{' or '.join(names)} is not installed")


def _version(path: Path) -> list[int]:
    return [int(part) for part in path.parts if part.isdigit()]


def _other_user() -> dict[str, object]:
    """Arguments of ``subprocess`` that drop root; empty where we are not root."""
    if os.geteuid() != 0:
        return {}
    for name in UNPRIVILEGED_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise ServiceMissing(f"PostgreSQL does not run as root and none of {', '.join(UNPRIVILEGED_USERS)} exists")


def stop(process: subprocess.Popen, first: signal.Signals) -> None:
    """End ``process`` by ``first``, by SIGKILL when that does not help."""
    if process.poll() is None:
        process.send_signal(first)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen, ready, log: Path) -> None:
    """Call ``ready`` until it raises nothing; after ``START_SECONDS`` raise ``RuntimeError`` with the log's end."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return ready()
        except (OSError, psycopg.Error) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args[0]} did not start:\n{log.read_text()[-2000:]}") from error
            time.sleep(0.05)


@contextmanager
def _directory(prefix: str, user: dict[str, object]) -> Iterator[Path]:
    """A temporary directory owned by ``user``."""
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        if user:
            os.chown(directory, user["user"], user["group"])
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def postgres_server(durable: bool = False) -> Iterator[str]:
    """A PostgreSQL cluster of its own; yields ``postgres://oms@127.0.0.1:PORT/oms``, an empty database.

    Trusts every local connection. Does not sync to disk unless ``durable``: it is for tests of behaviour, not of power loss.
    """
    initdb = find_program("initdb", places="postgresql/*/bin/initdb")
    postgres = find_program("postgres", places="postgresql/*/bin/postgres")
    user = _other_user()
    with _directory("oms-postgres-", user) as directory:
        data, log = directory / "data", directory / "log"
        prepare = [initdb, "-D", data, "-U", "oms", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        made = subprocess.run(prepare, cwd=directory, capture_output=True, text=True, **user)
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stderr[-2000:]}")
        port = free_port()
        command = [postgres, "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", directory]
        if not durable:
            command += ["-c", "fsync=off", "-c", "full_page_writes=off"]
        with log.open("w") as output:
            process = subprocess.Popen(command, cwd=directory, stdout=output, stderr=output, **user)
        try:
            _await(process, lambda: _create_database(port), log)
            yield f"postgres://oms@127.0.0.1:{port}/oms"
        finally:
            stop(process, signal.SIGINT)  # "fast": breaks connections, leaves no shared memory behind


def _create_database(port: int) -> None:
    address = f"postgres://oms@127.0.0.1:{port}/postgres"
    with psycopg.connect(address, autocommit=True, connect_timeout=2) as connection:
        connection.execute("CREATE DATABASE oms")


@contextmanager
def redis_server() -> Iterator[str]:
    """An empty Redis that keeps nothing; yields ``redis://127.0.0.1:PORT/0``."""
    redis = find_program("redis-server")
    with _directory("oms-redis-", {}) as directory:
        port, log = free_port(), directory / "log"
        command = [redis, "--port", str(port), "--bind", "127.0.0.1", "--dir", directory]
        command += ["--save", "", "--appendonly", "no"]
        with log.open("w") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            _await(process, lambda: _ping(port), log)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            stop(process, signal.SIGTERM)


def _ping(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(b"PING\r\n")
        if not connection.recv(16).startswith(b"+PONG"):
            raise OSError("not ready yet")


@dataclass(frozen=True)
class Chromium:
    """An installed browser and its driver."""

    browser: Path
    driver: Path

    @contextmanager
    def open(self, width: int = 1280, height: int = 900) -> Iterator[webdriver.Chrome]:
        """A headless browser with an empty profile; its console is readable by ``get_log("browser")``."""
        with _directory("oms-chromium-", {}) as profile:
            options = webdriver.ChromeOptions()
            options.binary_location = str(self.browser)
            for argument in (
                "--headless=new",
                "--no-sandbox",  # the sandbox does not start as root or in most containers
                "--disable-dev-shm-usage",
                "--disable-gpu",
                # Nothing but what the test asks for goes over the network.
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                f"--user-data-dir={profile}",
                f"--window-size={width},{height}",
            ):
                options.add_argument(argument)
            options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
            service = webdriver.ChromeService(executable_path=str(self.driver))
            driver = webdriver.Chrome(options=options, service=service)
            try:
                yield driver
            finally:
                driver.quit()


def find_chromium() -> Chromium:
    """The browser and the driver that belongs to it; raises ``ServiceMissing``."""
    browser = find_program("chromium", "chromium-browser", "google-chrome")
    return Chromium(browser, find_program("chromedriver", places="chromium*/chromedriver"))
