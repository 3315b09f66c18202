"""Free TCP ports on the loopback address."""

import socket


def free_port() -> int:
    """A port that nobody listens on at this moment.

    Another process may take it before it is used; whoever starts a server on it
    sees the bind fail and asks again.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
