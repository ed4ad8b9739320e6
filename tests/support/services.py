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
import sys
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
def directory(prefix: str) -> Iterator[Path]:
    """A temporary directory that goes with all there is in it."""
    place = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


class Postgres:
    """A PostgreSQL cluster of its own in ``directory``: ``start``, ``kill`` and ``stop`` as often as you like.

    Trusts every local connection. Does not sync to disk unless ``durable``: then it is for tests of behaviour, not of
    power loss. Its one database, ``oms``, is empty at first.
    """

    def __init__(self, directory: Path, *, durable: bool = False) -> None:
        self._user = _other_user()
        self._directory = directory
        self._log = directory / "log"
        self._durable = durable
        self._program = find_program("postgres", places="postgresql/*/bin/postgres")
        initdb = find_program("initdb", places="postgresql/*/bin/initdb")
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        if self._user:
            os.chown(directory, self._user["user"], self._user["group"])
        prepare = [initdb, "-D", directory / "data", "-U", "oms", "--auth=trust", "--encoding=UTF8", "--no-locale"]
        made = subprocess.run([*prepare, "--no-sync"], cwd=directory, capture_output=True, text=True, **self._user)
        if made.returncode:
            raise RuntimeError(f"initdb failed:\n{made.stderr[-2000:]}")
        self.start()
        with self.connect("postgres") as connection:
            connection.execute("CREATE DATABASE oms")

    @property
    def url(self) -> str:
        return f"postgres://oms@127.0.0.1:{self.port}/oms"

    def connect(self, name: str = "oms") -> psycopg.Connection:
        """A connection of the caller's own, without transactions."""
        return psycopg.connect(f"postgres://oms@127.0.0.1:{self.port}/{name}", autocommit=True, connect_timeout=2)

    def start(self) -> None:
        """Start, and wait until it answers: also after a crash, when what is left of the old one may be in the way."""
        command = [self._program, "-D", self._directory / "data", "-p", str(self.port), "-h", "127.0.0.1"]
        command += ["-k", self._directory]
        if not self._durable:
            command += ["-c", "fsync=off", "-c", "full_page_writes=off"]
        if sys.platform == "linux":
            # After a crash: one call instead of one for each of the cluster's thousand files, which took seconds.
            command += ["-c", "recovery_init_sync_method=syncfs"]
        deadline = time.monotonic() + START_SECONDS
        while True:
            with self._log.open("a") as output:
                self.process = subprocess.Popen(
                    command, cwd=self._directory, stdout=output, stderr=output, **self._user
                )
            try:
                return _await(self.process, lambda: self.connect("postgres").close(), self._log)
            except RuntimeError:
                # The backends of one that was killed end a moment after it, and hold its shared memory until then.
                if self.process.poll() is None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT breaks connections and leaves nothing behind, SIGQUIT is ``-m immediate``."""
        if self.process is not None:
            stop(self.process, how)
            self.process = None

    def kill(self) -> None:
        """SIGKILL of the postmaster; its backends notice by themselves."""
        self.stop(signal.SIGKILL)

    def kill_backend(self, pid: int) -> None:
        """SIGKILL of one backend: PostgreSQL ends all others, and recovers."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        if str(pid) in children:  # never anybody else's process
            os.kill(pid, signal.SIGKILL)

    def tail(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]


class Redis:
    """A Redis of its own in ``directory``; ``persistent``: what it has said yes to outlives its process."""

    def __init__(self, directory: Path, *, persistent: bool = False) -> None:
        self._directory = directory
        self._log = directory / "log"
        self._persistent = persistent
        self._program = find_program("redis-server")
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, and wait until it answers."""
        command = [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._directory]
        command += ["--save", "", "--appendonly", "yes" if self._persistent else "no"]
        with self._log.open("a") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        _await(self.process, lambda: _ping(self.port), self._log)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            stop(self.process, how)
            self.process = None

    def kill(self) -> None:
        """SIGKILL: no time to write anything down."""
        self.stop(signal.SIGKILL)

    def lose_everything(self) -> None:
        """What is on its disk is gone, as after a failover to an empty machine. Only while it is stopped."""
        shutil.rmtree(self._directory / "appendonlydir", ignore_errors=True)

    def tail(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]


@contextmanager
def postgres_server(durable: bool = False) -> Iterator[str]:
    """A PostgreSQL cluster of its own; yields ``postgres://oms@127.0.0.1:PORT/oms``, an empty database."""
    with directory("oms-postgres-") as place:
        server = Postgres(place, durable=durable)
        try:
            yield server.url
        finally:
            server.stop()


@contextmanager
def redis_server() -> Iterator[str]:
    """An empty Redis that keeps nothing; yields ``redis://127.0.0.1:PORT/0``."""
    with directory("oms-redis-") as place:
        server = Redis(place)
        try:
            yield server.url
        finally:
            server.stop()


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
        with directory("oms-chromium-") as profile:
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
