"""A whole shop on one machine, every part a process of its own: sandbox gateway, HTTP server, relay, worker."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil

from adapters.security.keys import KeyFile
from adapters.stripe.event_types import FOLLOWED_TYPES
from adapters.system.clock import SystemClock
from benchmarks.client import Client
from benchmarks.machine import ROOT, Machine
from entrypoints.local.ports import free_port
from entrypoints.local.ready import READY_TOKENS, token_issuer

WEBHOOK_SECRET = "whsec_benchmark"
SANDBOX_KEY = {"Authorization": "Bearer sk_test_payonce"}
START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Shop:
    """Its processes by name; `profile` and `applied` are what HTTP server and worker leave at their end."""

    http_port: int
    sandbox_port: int
    token: str
    processes: dict[str, psutil.Process]
    profile: Path
    applied: Path

    def client(self) -> Client:
        return Client(self.http_port, {"Authorization": f"Bearer {self.token}"})

    def sandbox(self) -> Client:
        return Client(self.sandbox_port, SANDBOX_KEY)

    def cpu_seconds(self) -> dict[str, float]:
        """What each part has used since it began; PostgreSQL and Valkey are children of this process."""
        spent = {name: _used(process) for name, process in self.processes.items()}
        spent |= {"PostgreSQL": 0.0, "load": _used(psutil.Process())}
        for child in psutil.Process().children(recursive=True):
            if child.name().startswith("postgres"):
                spent["PostgreSQL"] += _used(child)
        return spent


@contextmanager
def a_shop(machine: Machine, *, webhooks: bool, follows: bool) -> Iterator[Shop]:
    """With `webhooks` the sandbox delivers the events that payments follow; with `follows` orders follow their payments."""
    http_port, sandbox_port = free_port(), free_port()
    profile, applied = machine.home / "profile.json", machine.home / "applied.json"
    environment = os.environ | {
        "PAYONCE_HOME": str(machine.home),
        "PAYONCE_PORT": str(http_port),
        "PAYONCE_DATABASE_URL": machine.database_url,
        "PAYONCE_REDIS_URL": machine.redis_url,
        "PAYONCE_STRIPE_API_KEY": "sk_test_payonce",
        "PAYONCE_STRIPE_API_BASE": f"http://127.0.0.1:{sandbox_port}",
        "PAYONCE_STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    data = machine.home / f"sandbox-{sandbox_port}.sqlite3"
    commands = {"http": ["-m", "benchmarks.process", "http", str(profile)]}
    if follows:
        for role in ("relay", "worker"):
            commands[role] = ["-m", "benchmarks.process", role, str(applied)]
    with ExitStack() as stack:

        def start(name: str, arguments: list[str]) -> psutil.Process:
            return stack.enter_context(_a_process(arguments, environment, machine.home / f"{name}.log"))

        processes = {
            "sandbox": start(
                "sandbox", ["-P", "-m", "sandbox", "--port", str(sandbox_port), "--data", str(data)]
            )
        }
        _wait(f"http://127.0.0.1:{sandbox_port}/healthz")
        if webhooks:
            url = f"http://127.0.0.1:{http_port}/v1/webhooks/stripe"
            environment["PAYONCE_STRIPE_WEBHOOK_SECRET"] = _register(sandbox_port, url)
        processes |= {name: start(name, arguments) for name, arguments in commands.items()}
        _wait(f"http://127.0.0.1:{http_port}/readyz")
        yield Shop(http_port, sandbox_port, _token(machine), processes, profile, applied)


@contextmanager
def _a_process(arguments: list[str], environment: dict[str, str], log: Path) -> Iterator[psutil.Process]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def _register(sandbox_port: int, url: str) -> str:
    """Make a webhook endpoint for the types that payments follow, as an operator does; its secret."""
    fields = [("url", url), *(("enabled_events[]", name) for name in FOLLOWED_TYPES)]
    request = urllib.request.Request(
        f"http://127.0.0.1:{sandbox_port}/v1/webhook_endpoints",
        urllib.parse.urlencode(fields).encode(),
        SANDBOX_KEY,
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        endpoint: dict[str, Any] = json.load(answer)
    return str(endpoint["secret"])


def _wait(url: str) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def _token(machine: Machine) -> str:
    """The order service's, which acts for everybody."""
    settings = machine.settings
    subject, scopes = READY_TOKENS["service"]
    issue = token_issuer(KeyFile(settings.signing_key_file), settings.issuer, settings.audience).issue
    return issue(subject, scopes, SystemClock().now() + timedelta(hours=1))


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("ascii"))
