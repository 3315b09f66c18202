"""Where handlers find the application that bootstrap has wired."""

from litestar import Litestar

from entrypoints.bootstrap import Container


def container_of(app: Litestar) -> Container:
    container: Container = app.state["container"]
    return container
