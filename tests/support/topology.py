"""The production topology on one machine, to be hurt: PostgreSQL that syncs, Redis that keeps, engines, web processes.

``with Topology() as topology`` makes databases and a demo market with keys; ``start()`` begins, for each shard, an owner and
a standby, then REST processes (Granian) and socket processes (Daphne). A supervisor starts again whatever ends without
having been told to, as systemd would. What went wrong is in the processes' logs, which ``tails()`` gives.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from tests.support.server import ROOT, ask
from tests.support.services import Postgres, Redis, directory, free_port

START_SECONDS = 60.0
STOP_SECONDS = 20.0
# How soon the supervisor notices that a process has ended, and how long it waits before it starts one that ended at once.
WATCH_SECONDS = 0.05
AGAIN_SECONDS = 1.0
# Threads of a REST process that wait for engines: some of them for answers that were lost with an engine.
REST_THREADS = 64

Found = TypeVar("Found")


class Process:
    """One supervised process with a log of its own. It is killed together with all it has started."""

    def __init__(self, name: str, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self.name = name
        self.arguments = arguments
        self.environment = environment
        self.log = log
        self.wanted = False
        self.starts = 0
        # Exit statuses of what ended without having been told to.
        self.ends: list[int] = []
        self._popen: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._log_start = 0
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """0 while it does not run."""
        return self._popen.pid if self._popen is not None else 0

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        with self._lock:
            self.wanted = True
            self._begin()

    def kill(self) -> None:
        """SIGKILL; it stays dead until ``start``, or comes back by itself where it is supervised and still wanted."""
        self.send(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, or (SIGKILL, SIGSTOP, SIGCONT) to it and all it has started."""
        popen = self._popen
        if popen is None or popen.poll() is not None:
            return
        if number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT):
            os.killpg(popen.pid, number)
        else:
            popen.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it for good. Returns its exit status; SIGKILL follows where ``number`` does not help."""
        with self._lock:
            self.wanted = False
            popen, self._popen = self._popen, None
        if popen is None:
            return 0
        if popen.poll() is None:
            os.killpg(popen.pid, signal.SIGCONT)
            popen.send_signal(number)
        try:
            return popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(popen.pid, signal.SIGKILL)
            return popen.wait()

    def revive(self) -> None:
        """Start it again if it has ended and should not have; the supervisor's turn."""
        with self._lock:
            popen = self._popen
            if not self.wanted or popen is None or popen.poll() is None:
                return
            if time.monotonic() - self._started_at < AGAIN_SECONDS and self.ends:
                return
            self.ends.append(popen.returncode)
            self._begin()

    def tail(self, characters: int = 3_000) -> str:
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""

    def said(self) -> str:
        """All it has logged since it was started last."""
        return self.log.read_text(errors="replace")[self._log_start :] if self.log.exists() else ""

    def _begin(self) -> None:
        self._log_start = len(self.log.read_text(errors="replace")) if self.log.exists() else 0
        with self.log.open("ab") as log:
            log.write(f"--- {self.name} starts\n".encode())
            log.flush()
            self._popen = subprocess.Popen(
                self.arguments,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.starts += 1
        self._started_at = time.monotonic()


class Web(Process):
    """A process that answers HTTP on ``port``."""

    def __init__(self, name: str, arguments: list[str], environment: dict[str, str], log: Path, port: int) -> None:
        super().__init__(name, arguments, environment, log)
        self.port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(
        self, method: str, path: str, body: Any = None, *, key: str = "", timeout: float = 30
    ) -> tuple[int, Any]:
        """One request on a connection of its own: status and decoded JSON (None where there is none)."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            return ask(connection, method, path, body, key=key)
        finally:
            connection.close()

    def answers(self, path: str) -> bool:
        try:
            return self.request("GET", path, timeout=2)[0] == 200
        except (OSError, HTTPException, json.JSONDecodeError):
            return False


class Topology:
    """See the module. ``launcher`` is what engines are started by instead of ``manage.py`` (to put hooks into them)."""

    def __init__(
        self,
        *,
        shards: int = 1,
        rest: int = 2,
        sockets: int = 1,
        spares: int = 1,
        users: tuple[str, ...] = ("alice", "bob"),
        launcher: Path | None = None,
        durable: bool = True,
        engine_database_url: Callable[[int], str] | None = None,
        **environment: str,
    ) -> None:
        self._counts = (shards, rest, sockets, spares)
        self._users = users
        self._launcher = launcher or ROOT / "manage.py"
        self._durable = durable
        # Where engines find PostgreSQL, by its port: a proxy's address, perhaps.
        self._engine_database_url = engine_database_url
        self._more = environment
        self.engines: dict[int, list[Process]] = {}
        self.rest: list[Web] = []
        self.sockets: list[Web] = []
        # Of each user: an API key, and the id of the account.
        self.keys: dict[str, str] = {}
        self.accounts: dict[str, int] = {}
        self._ending = threading.Event()

    def __enter__(self) -> "Topology":
        self._directory = directory("oms-topology-")
        self.directory = self._directory.__enter__()
        try:
            for part in ("postgres", "redis", "var"):
                (self.directory / part).mkdir()
            self.directory.chmod(0o711)  # PostgreSQL may run as another user
            self.postgres = Postgres(self.directory / "postgres", durable=self._durable)
            self.redis = Redis(self.directory / "redis", persistent=True)
            self._prepare()
            self._make_processes()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._ending.set()
        if hasattr(self, "_supervisor"):
            self._supervisor.join()
        for process in self.processes():
            process.kill()
        for process in self.processes():
            process.stop()
        for name in ("redis", "postgres"):
            if hasattr(self, name):
                getattr(self, name).stop()
        self._directory.__exit__(None, None, None)

    # Beginning

    def environment(self, **more: str) -> dict[str, str]:
        """What every process of the topology is started with."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("OMS_") and name not in ("DJANGO_SETTINGS_MODULE", "DATABASE_URL", "REDIS_URL")
        }
        return {
            **kept,
            "DJANGO_SETTINGS_MODULE": "oms_project.settings",
            "OMS_VAR_DIR": str(self.directory / "var"),
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.redis.url,
            "OMS_ENGINE": "remote",
            "OMS_SECRET_KEY": "of-a-test-and-of-nothing-else-0123456789-0123456789-0123456789",
            **self._more,
            **more,
        }

    def manage(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a management command on the topology's databases."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=300,
        )
        if check and done.returncode:
            raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def run(self, script: str, **environment: str) -> str:
        """Run some lines of Python on the topology's databases, with Django set up. Returns what they print."""
        done = subprocess.run(
            [sys.executable, "-c", f"import django\ndjango.setup()\n{script}"],
            cwd=ROOT,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode:
            raise AssertionError(done.stderr)
        return done.stdout

    def _prepare(self) -> None:
        """A demo market, the users, a key each; by an embedded engine, which a command of one process may use."""
        self.manage("seed_demo", OMS_ENGINE="embedded")
        made = json.loads(
            self.run(_MAKE_USERS.format(users=self._users, shards=self._counts[0]), OMS_ENGINE="embedded")
        )
        self.keys = {name: key for name, (key, _) in made.items()}
        self.accounts = {name: account_id for name, (_, account_id) in made.items()}

    def _make_processes(self) -> None:
        shards, rest, sockets, spares = self._counts
        database = {}
        if self._engine_database_url is not None:
            database = {"DATABASE_URL": self._engine_database_url(self.postgres.port)}
        for shard in range(shards):
            command = [sys.executable, str(self._launcher), "run_engine", "--shard", str(shard)]
            names = [f"engine{shard}{letter}" for letter in "abcdef"[: 1 + spares]]
            environment = self.environment(**database)
            self.engines[shard] = [Process(name, command, environment, self._log(name)) for name in names]
        for number in range(rest):
            port = free_port()
            command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--host", "127.0.0.1"]
            command += ["--port", str(port), "--workers", "1", "--blocking-threads", str(REST_THREADS)]
            command += ["--workers-kill-timeout", "5s", "oms_project.wsgi:application"]
            self.rest.append(self._web(f"rest{number}", command, port))
        for number in range(sockets):
            port = free_port()
            command = [sys.executable, "manage.py", "serve", "--port", str(port)]
            self.sockets.append(self._web(f"sockets{number}", command, port))

    def _web(self, name: str, command: list[str], port: int) -> Web:
        return Web(name, command, self.environment(), self._log(name), port)

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def start(self) -> None:
        """Start everything, wait until all of it is ready, and watch over it from then on."""
        for engines in self.engines.values():
            engines[0].start()
        for web in self.web():
            web.start()
        for shard in self.engines:
            self.wait_open(shard)
        for engines in self.engines.values():
            for engine in engines[1:]:
                engine.start()
        for web in self.web():
            self.wait_ready(web)
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor")
        self._supervisor.start()

    def _supervise(self) -> None:
        while not self._ending.wait(WATCH_SECONDS):
            for process in self.processes():
                process.revive()

    # Looking

    def processes(self) -> list[Process]:
        return [*self.web(), *(engine for engines in self.engines.values() for engine in engines)]

    def web(self) -> list[Web]:
        return [*self.rest, *self.sockets]

    def tails(self, characters: int = 3_000) -> str:
        """The end of every log."""
        logs = {process.name: process.tail(characters) for process in self.processes()}
        logs |= {name: getattr(self, name).tail() for name in ("postgres", "redis") if hasattr(self, name)}
        return "\n".join(f"=== {name}\n{text}" for name, text in logs.items())

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What a query gives, on a connection of its own straight to PostgreSQL."""
        with self.postgres.connect() as connection:
            return connection.execute(query, parameters or None).fetchall()

    def lease(self, shard: int = 0) -> tuple[str, int, str, float] | None:
        """Owner, epoch, state and age in seconds of the shard's lease; None where there is none."""
        found = self.rows(
            "SELECT owner, epoch, state, extract(epoch FROM clock_timestamp() - renewed_at)::float8 "
            "FROM orders_enginelease WHERE shard_id = %s",
            shard,
        )
        return found[0] if found else None

    def owner(self, shard: int = 0) -> Process | None:
        """The process that holds the shard's lease, if it is one of ours and runs."""
        lease = self.lease(shard)
        if lease is not None:
            for engine in self.engines[shard]:
                if engine.is_running and f":{engine.pid}:" in lease[0]:
                    return engine
        return None

    def epoch(self, shard: int = 0) -> int:
        return self.rows("SELECT epoch FROM orders_shard WHERE id = %s", shard)[0][0]

    # Waiting

    def wait_open(self, shard: int = 0, *, after_epoch: int = 0, seconds: float = START_SECONDS) -> float:
        """Until the shard is open under an epoch later than ``after_epoch``. Returns the seconds that took."""

        def is_open() -> bool:
            lease = self.lease(shard)
            return lease is not None and lease[1] > after_epoch and lease[2] == "open" and self.owner(shard) is not None

        return wait_for(is_open, f"shard {shard} does not open", seconds, self.tails)

    def wait_renewed(self, shard: int = 0, *, seconds: float = START_SECONDS) -> None:
        """Until an owner says, from now on, that the shard is open: what it said before a harm does not count."""
        since: list[Any] = []

        def is_open() -> bool:
            if not since:
                since.append(self.rows("SELECT clock_timestamp()")[0][0])
            found = self.rows("SELECT renewed_at, state FROM orders_enginelease WHERE shard_id = %s", shard)
            return bool(found) and found[0][0] > since[0] and found[0][1] == "open" and self.owner(shard) is not None

        wait_for(is_open, f"shard {shard} does not open again", seconds, self.tails)

    def standbys(self, shard: int = 0) -> list[Process]:
        """Engines that wait to take over from the owner, by what they have said since they were started."""
        owner = self.owner(shard)
        return [
            engine
            for engine in self.engines[shard]
            if engine is not owner and engine.is_running and f"shard {shard}: standby" in engine.said()
        ]

    def wait_ready(self, web: Web, seconds: float = START_SECONDS) -> float:
        """Until a web process takes orders."""
        return wait_for(lambda: web.answers("/readyz"), f"{web.name} is not ready", seconds, self.tails)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Whatever goes wrong inside is told with the ends of all logs."""
        try:
            yield
        except BaseException:
            print(self.tails())
            raise


def wait_for(what: Callable[[], bool], otherwise: str, seconds: float, explain: Callable[[], str] = str) -> float:
    """Until ``what`` is true, treating a database or server that is away as not yet. Returns the seconds that took."""
    started = time.monotonic()
    while True:
        try:
            if what():
                return time.monotonic() - started
        except (OSError, HTTPException, psycopg.Error):
            pass
        if time.monotonic() - started > seconds:
            raise AssertionError(f"{otherwise} within {seconds:.0f} s\n{explain()}")
        time.sleep(0.02)


# Users and keys in one process: starting Django for each costs a second.
_MAKE_USERS = """
import json
from django.contrib.auth import get_user_model
from orders.accounts import own_account
from orders.keys import create_key
from orders.models import Shard
made = {{}}
for shard in range({shards}):
    Shard.objects.get_or_create(id=shard)
for name in {users!r}:
    user, is_new = get_user_model().objects.get_or_create(username=name)
    account = own_account(user=user)
    made[name] = create_key(user=user, account=account, scopes=["read", "trade"], name="")[1], account.id
print(json.dumps(made))
"""
