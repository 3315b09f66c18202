"""A real server process against clients that send too much, too slowly, or nonsense, over loopback."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.security.data_keys import create_data_keys
from adapters.security.keys import create_keys
from entrypoints.http.bodies import MAX_BODY_BYTES
from entrypoints.http.connections import MAX_HEAD_BYTES, MAX_HEADERS, MAX_MESSAGE_BYTES, MAX_URL_BYTES

PATIENCE = 20.0  # of the tests
HEAD_SECONDS, BODY_SECONDS = 0.5, 1.0

Port = int


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Port]:
    """`payonce serve` without database and broker: nothing that is tested here comes so far."""
    home: Path = tmp_path_factory.mktemp("server")
    create_keys(home / "keys.json")
    create_data_keys(home / "data-keys.json")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PAYONCE_")} | {
        "PAYONCE_HOME": str(home),
        "PAYONCE_DATABASE_URL": "postgresql://payonce:none@127.0.0.1:1/none",
        "PAYONCE_REDIS_URL": "redis://127.0.0.1:1/0",
        "PAYONCE_STRIPE_API_KEY": "sk_test_payonce",
        "PAYONCE_STRIPE_WEBHOOK_SECRET": "whsec_test",
        "PAYONCE_REQUEST_HEAD_SECONDS": str(HEAD_SECONDS),
        "PAYONCE_REQUEST_BODY_SECONDS": str(BODY_SECONDS),
    }
    with socket.create_server(("127.0.0.1", 0)) as listener, (home / "log").open("wb") as log:
        command = [sys.executable, "-P", "-m", "entrypoints.cli", "serve", "--fd", str(listener.fileno())]
        process = subprocess.Popen(
            command, env=environment, pass_fds=(listener.fileno(),), stdout=log, stderr=log
        )
        try:
            port = listener.getsockname()[1]
            ask(port, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
    assert b"Traceback" not in (home / "log").read_bytes()


def connect(port: Port) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def send(connection: socket.socket, *parts: bytes) -> None:
    """Send as much of it as is taken."""
    with contextlib.suppress(OSError):  # the server has answered and closed
        for part in parts:
            connection.sendall(part)


def answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the next answer; status 0 where the connection ends without one."""
    with contextlib.suppress(ConnectionError), connection.makefile("rb") as reader:
        status = reader.readline().split()
        if status:
            headers = {}
            while line := reader.readline().strip():
                name, _, value = line.decode().partition(":")
                headers[name.lower()] = value.strip()
            return int(status[1]), headers, reader.read(int(headers.get("content-length", 0)))
    return 0, {}, b""


def ask(port: Port, *parts: bytes) -> tuple[int, dict[str, str], bytes]:
    with connect(port) as connection:
        send(connection, *parts)
        return answer(connection)


def refused(got: tuple[int, dict[str, str], bytes], status: int, code: str) -> None:
    assert got[0] == status, got
    assert got[1]["content-type"] == "application/problem+json"
    assert got[1]["x-request-id"].startswith("req_")
    assert json.loads(got[2])["code"] == code


def is_alive(port: Port) -> bool:
    return ask(port, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200


def test_a_head_of_many_or_long_headers(server: Port) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(MAX_HEADERS))
    refused(ask(server, request + many + b"\r\n"), 431, "headers_too_large")
    refused(ask(server, request + b"X: " + b"y" * MAX_HEAD_BYTES + b"\r\n\r\n"), 431, "headers_too_large")
    enough = b"".join(b"X-%d: 1\r\n" % number for number in range(MAX_HEADERS - 1))
    assert ask(server, request + enough + b"\r\n")[0] == 200


def test_a_header_without_end(server: Port) -> None:
    head = b"GET /livez HTTP/1.1\r\nHost: x\r\nX: "
    refused(ask(server, head, *[b"y" * 65536] * 100), 431, "headers_too_large")


def test_a_long_address(server: Port) -> None:
    path = b"/v1/orders?" + b"a" * MAX_URL_BYTES
    refused(ask(server, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n"), 414, "url_too_long")


@pytest.mark.parametrize("path", [b"/v1/webhooks/stripe", b"/v1/webhooks/stripe?x=1"])
def test_a_large_body(server: Port, path: bytes) -> None:
    head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    length = b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1)
    refused(ask(server, head + length), 413, "body_too_large")
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    refused(ask(server, head + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 20), 413, "body_too_large")


def test_a_message_without_end_is_cut_off_though_it_was_answered(server: Port) -> None:
    head = b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(server) as connection:
        send(connection, head)
        assert answer(connection)[0] == 401
        chunks = b"1\r\nx\r\n" * 10_000
        with pytest.raises(OSError):  # noqa: PT011 - reset or a broken pipe, as the system likes
            connection.sendall(chunks * (10 * MAX_MESSAGE_BYTES // len(chunks)))
    assert is_alive(server)


def test_slow_headers(server: Port) -> None:
    """Slowloris: a header now and then, for ever."""
    with connect(server) as silent, connect(server) as slow:
        send(slow, b"GET /livez HTTP/1.1\r\n")
        slow.settimeout(HEAD_SECONDS / 5)
        for number in range(200):
            send(slow, b"X-%d: 1\r\n" % number)
            try:
                if slow.recv(1, socket.MSG_PEEK) is not None:
                    break
            except TimeoutError:
                pass
        slow.settimeout(PATIENCE)
        refused(answer(slow), 408, "request_timeout")
        assert answer(silent)[0] == 0  # closed without a word, since nothing was asked


def test_many_slow_connections_keep_nobody_out(server: Port) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(server)) for _ in range(200)]
        for connection in slow:
            send(connection, b"GET /livez HTTP/1.1\r\nX-")
        assert is_alive(server)
        assert [answer(connection)[0] for connection in slow] == [408] * 200


def test_a_slow_body(server: Port) -> None:
    head = b"POST /v1/webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with connect(server) as connection:
        send(connection, head + b"Content-Length: 1000\r\n\r\n{")
        refused(answer(connection), 408, "request_timeout")
        assert connection.recv(1) == b""


def test_a_connection_that_is_kept_has_the_same_patience_again(server: Port) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(server) as connection:
        for _ in range(3):
            send(connection, request[:10])
            time.sleep(HEAD_SECONDS / 2)  # all three take longer than one may
            send(connection, request[10:])
            assert answer(connection)[0] == 200
        send(connection, request[:10])
        refused(answer(connection), 408, "request_timeout")


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHo st: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n",
    ],
)
def test_what_is_no_request_or_could_be_two(server: Port, request_: bytes) -> None:
    got = ask(server, request_)
    assert got[0] in (400, 404), got
    assert got[1]["content-type"] == "application/problem+json"
    assert is_alive(server)


def test_nothing_tells_what_serves(server: Port) -> None:
    _, headers, _ = ask(server, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert "server" not in headers
    assert "x-powered-by" not in headers
    assert "set-cookie" not in headers
