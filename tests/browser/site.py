"""A real server for the browser: `manage.py serve` in a process of its own, with demo data, and REST to compare with."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.conf import settings

from tests.support.services import START_SECONDS, free_port, stop

ROOT = Path(settings.BASE_DIR)
PORT_TRIES = 5  # another process may take the free port first
# Levels of each side that the page shows on a desktop.
LEVELS = 12


class Site:
    """One service: its directory, its process (which can be frozen, killed and started again), its users."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "serve.log"
        self.environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
        self.environment["OMS_VAR_DIR"] = str(directory)
        self.manage("seed_demo")
        rows = (directory / "demo-credentials").read_text().splitlines()
        self.passwords = dict(row.split(" ", 1) for row in rows)
        self.keys = {
            name: self.manage("create_api_key", name, "--scopes", "read,trade,cancel") for name in self.passwords
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *arguments: str) -> str:
        """Run a management command; answers what it printed."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self) -> None:
        """Start the server, on the port it had before where there was one, and wait until it is ready."""
        for _ in range(PORT_TRIES):
            self.port = self.port or free_port()
            with self.log.open("ab") as log:
                command = [sys.executable, "manage.py", "serve", "--port", str(self.port)]
                self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
            if self._ready(self.process):
                return
            self.port = 0
        raise RuntimeError(f"the server did not start:\n{self.log.read_text()[-3000:]}")

    def _ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):
                    return True
            except OSError:
                time.sleep(0.05)
        stop(process, signal.SIGKILL)
        return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            stop(self.process, signal.SIGTERM)

    def kill(self) -> None:
        """As a power cut: nothing is said to anybody."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """As a machine that hangs: connections stay open, nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    # REST, as another client would use it

    def rest(self, method: str, path: str, body: dict[str, Any] | None = None, *, user: str = "bob") -> Any:
        """The parsed answer, problems included."""
        headers = {"Authorization": f"Bearer {self.keys[user]}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def order(self, side: str, quantity: str, price: str, *, user: str = "bob", **fields: Any) -> dict[str, Any]:
        """Place a limit order in ACME-USD that must be accepted."""
        body = {"symbol": "ACME-USD", "side": side, "quantity": quantity, "price": price, **fields}
        answer = self.rest("POST", "orders", body, user=user)
        assert "id" in answer, answer
        return answer

    def book(self, symbol: str = "ACME-USD") -> dict[str, list[list[Any]]]:
        """The best levels of each side, as many as the page shows."""
        answer = self.rest("GET", f"instruments/{symbol}/book?depth=25")
        return {side: answer[side][:LEVELS] for side in ("bids", "asks")}

    def set_phase(self, symbol: str, change: str, **fields: str) -> None:
        """As an operator in the admin: ``change`` is one of its buttons (halt, resume, auction…)."""
        jar = CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

        def post(path: str, data: dict[str, str]) -> None:
            browser.open(f"{self.url}{path}", timeout=15).read()  # for the token
            token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
            body = urlencode({**data, "csrfmiddlewaretoken": token or ""}).encode()
            browser.open(urllib.request.Request(f"{self.url}{path}", body, {"Referer": self.url}), timeout=15).read()

        post("/admin/login/", {"username": "admin", "password": self.passwords["admin"]})
        post(f"/admin/orders/instrument/{self.ids()[symbol]}/phase/{change}/", {"confirmed": "1", **fields})

    def ids(self) -> dict[str, int]:
        """Instruments in the order in which the demo data makes them."""
        return {symbol: number for number, symbol in enumerate(("ACME-USD", "BTC-USD", "EUR-USD", "WIDG-USD"), 1)}

    def clear(self) -> None:
        """Everybody's open orders canceled, and trading goes on."""
        if self.rest("GET", "instruments/ACME-USD")["state"] != "continuous":
            self.set_phase("ACME-USD", "resume")
        for user in self.keys:
            assert "count" in self.rest("DELETE", "orders", user=user)
