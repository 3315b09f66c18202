"""The sandbox gateway for tests: one process per test run, emptied before each test."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrypoints.local.ports import free_port

_READY = "sandbox ready"
_ROOT = Path(__file__).parents[2]


class SandboxProcess:
    """`python -m sandbox` on a free port. Started again it is on the same port with the same data."""

    def __init__(self, data: Path, webhooks: list[tuple[str, str]] | None = None) -> None:
        self._data = data
        self._webhooks = webhooks or []
        self._process: subprocess.Popen[str] | None = None
        self._take_ports()

    def _take_ports(self) -> None:
        self.port, self.smtp_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it can be called. Another process may have taken the port: then on another one."""
        for _ in range(5):
            self._process = subprocess.Popen(
                self._command(), cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            assert self._process.stdout is not None
            if self._process.stdout.readline().startswith(_READY):
                return
            _, said = self._process.communicate()
            if "address already in use" not in said:
                break
            self._take_ports()
        raise RuntimeError(f"the sandbox did not start: {said}")

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", "sandbox", "--port", str(self.port), "--data", str(self._data)]
        command += ["--smtp-port", str(self.smtp_port)]
        for url, secret in self._webhooks:
            command += ["--webhook", url, "--webhook-secret", secret]
        return command

    def stop(self) -> int:
        """End it as a supervisor would; its exit code."""
        assert self._process is not None
        self._process.terminate()
        self._process.communicate(timeout=20)
        return self._process.returncode

    def kill(self) -> None:
        """`kill -9`."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()


class SandboxGateway:
    """A running sandbox as a test sees it. The calls block, briefly."""

    secret_key = "sk_test_payonce"

    def __init__(self, url: str, smtp_port: int = 0) -> None:
        self.url = url
        self.smtp_url = f"smtp://127.0.0.1:{smtp_port}"
        # There is no TLS here, and loading the certificates takes longer than a call. No connection
        # is kept, so that there is none to close.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(base_url=url, verify=False, trust_env=False, limits=limits)

    def reset(self, *, data: bool = False) -> None:
        self._post("/_sandbox/reset", {"data": data})

    def chaos(self, **chaos: Any) -> None:
        """The body of `POST /_sandbox/chaos`: `seed`, `webhooks`, `api`."""
        self._post("/_sandbox/chaos", chaos)

    def advance(self, seconds: float) -> None:
        """Put its clock ahead; what falls due has happened when this returns, its webhooks apart."""
        self._post("/_sandbox/clock", {"advanceSeconds": seconds})

    def dispute(self, intent_id: str, **details: Any) -> str:
        """The cardholder's bank disputes what this intent took; the dispute's id."""
        answer = self._http.post("/_sandbox/disputes", json={"paymentIntent": intent_id, **details})
        return str(answer.raise_for_status().json()["id"])

    def state(self, account: str = "payonce") -> dict[str, Any]:
        """`counts` and `paymentIntents` (id, captured, refunded, …) of one account."""
        answer = self._http.get("/_sandbox/state").raise_for_status().json()
        state: dict[str, Any] = answer["accounts"].get(account, {"counts": {}, "paymentIntents": []})
        return state

    def add_webhook(self, url: str, events: tuple[str, ...] = ("*",)) -> str:
        """Have events delivered to `url`; the secret they are signed with."""
        form = {"url": url} | {f"enabled_events[{number}]": event for number, event in enumerate(events)}
        answer = self._http.post("/v1/webhook_endpoints", data=form, auth=(self.secret_key, ""))
        return str(answer.raise_for_status().json()["secret"])

    def mails(self, to: str | None = None) -> list[dict[str, Any]]:
        """What came to its mailbox (of this address), newest first."""
        query = {} if to is None else {"to": to}
        answer = self._http.get("/_sandbox/mailbox", params={"limit": "100", **query})
        items: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
        return items

    def authenticate(self, page_url: str, result: str = "complete") -> httpx.Response:
        """Press `complete` or `fail` on the authentication page; the redirect, not followed."""
        return self._http.post(page_url, data={"result": result})

    def get(self, path: str, key: str = secret_key) -> httpx.Response:
        """An API call, or one of the sandbox's own, as it comes over the wire."""
        return self._http.get(path, auth=(key, ""))

    def delete(self, path: str, key: str = secret_key) -> httpx.Response:
        return self._http.delete(path, auth=(key, ""))

    def post(
        self, path: str, form: dict[str, str], key: str | None = None, account: str = secret_key
    ) -> httpx.Response:
        """The same with a form and, where given, an idempotency key."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self._http.post(path, data=form, headers=headers, auth=(account, ""))

    def _post(self, path: str, body: dict[str, Any]) -> None:
        self._http.post(path, json=body).raise_for_status()


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox") / "sandbox.sqlite3")
    process.start()
    yield process
    process.stop()


@pytest.fixture
def sandbox(sandbox_process: SandboxProcess) -> SandboxGateway:
    """A sandbox without objects, endpoints, chaos, and with its clock at the machine's time."""
    gateway = SandboxGateway(sandbox_process.url, sandbox_process.smtp_port)
    gateway.reset(data=True)
    return gateway
