"""Real RabbitMQ for tests, where Debian's `rabbitmq-server` is installed: one node per test process.

It has its own name, ports, cookie and directories, and its own name server (epmd), so that it
neither sees nor disturbs another one on this machine.
"""

import collections
import gc
import os
import signal
import socket
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pika
import pytest
from dramatiq.common import dq_name, xq_name

from entrypoints.local.ports import free_port

# Not the one in the path, which changes to the user `rabbitmq` and to that user's directories.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
EPMD = Path("/usr/bin/epmd")

START_SECONDS = 60.0
_STARTED = "Server startup complete"

_CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{port}
log.console.level = info
disk_free_limit.absolute = 10MB
"""


class RabbitMQ:
    """One node in `home`; it keeps its data from one start to the next."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port, self._dist_port, self._epmd_port = free_port(), free_port(), free_port()
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._said: collections.deque[str] = collections.deque(maxlen=40)
        (home / "rabbitmq.conf").write_text(_CONFIG.format(port=self.port), encoding="ascii")
        (home / "enabled_plugins").write_text("[].\n", encoding="ascii")

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    def start(self) -> None:
        """Start the node and return once it takes connections. Fails with its last words where it does not."""
        if self._epmd is None:
            command = [str(EPMD), "-port", str(self._epmd_port), "-address", "127.0.0.1"]
            self._epmd = subprocess.Popen(
                command, env=self._environment(), stderr=subprocess.DEVNULL, start_new_session=True
            )
            self._wait_for_epmd()
        self._said.clear()
        self._server = subprocess.Popen(
            [SERVER],
            cwd=self.home,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        started = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self._server, started), daemon=True)
        self._reader.start()
        if not started.wait(START_SECONDS) or self._server.poll() is not None:
            self.stop()
            raise AssertionError("RabbitMQ did not start:\n" + "".join(self._said))

    def _read(self, server: "subprocess.Popen[str]", started: threading.Event) -> None:
        assert server.stdout is not None
        for line in server.stdout:
            self._said.append(line)
            if _STARTED in line:
                started.set()
        started.set()  # it has ended

    def _wait_for_epmd(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._epmd_port)):
                return
            assert time.monotonic() < deadline, "epmd does not answer"
            time.sleep(0.01)

    def crash(self) -> None:
        """End the node without a chance to write anything down."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the node in good order."""
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """End everything that was started."""
        self.stop()
        if self._epmd is not None:
            self._epmd.terminate()
            self._epmd.wait()

    def _end(self, how: signal.Signals) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.send_signal(how)
        try:
            server.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        assert self._reader is not None
        self._reader.join(START_SECONDS)
        assert server.stdout is not None
        server.stdout.close()

    def _environment(self) -> dict[str, str]:
        home = self.home
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),  # of Erlang's cookie
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"payonce-{os.getpid()}@localhost",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "config"),
            "RABBITMQ_SCHEMA_DIR": str(home / "schema"),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_LOGS": "-",
            # One process that is ours to signal, in place of a script that starts it.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -start_epmd false "
            "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def delete_queues(self, *names: str) -> None:
        """As if they had never been: with all that is in them."""
        with pika.BlockingConnection(pika.URLParameters(self.url)) as connection:
            channel = connection.channel()
            for name in names:
                for queue in (name, dq_name(name), xq_name(name)):
                    channel.queue_delete(queue)


@pytest.fixture(scope="session")
def rabbitmq_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    if not os.environ.get("PAYONCE_TEST_RABBITMQ"):
        pytest.skip("a RabbitMQ node is started where PAYONCE_TEST_RABBITMQ is set")
    if not SERVER.exists() or not EPMD.exists():
        pytest.skip(f"RabbitMQ is not installed: {SERVER} and {EPMD} (Debian's rabbitmq-server)")
    server = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def rabbitmq(rabbitmq_server: RabbitMQ) -> RabbitMQ:
    """A node without the queues that tests use."""
    rabbitmq_server.delete_queues("orders")
    return rabbitmq_server


@pytest.fixture(scope="module")
def sockets_collected() -> Iterator[None]:
    """For modules that use a node: pika leaves the sockets of a connection that broke to the garbage collector.

    Threads own connections, and those of an event loop's executor end with the loop, after all of a
    test's fixtures.
    """
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
