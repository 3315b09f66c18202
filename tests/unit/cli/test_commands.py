"""The command line: each command explains itself, and says in one sentence what is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from entrypoints.cli import main

COMMANDS = main.list_commands(main.make_context("payonce", [], resilient_parsing=True))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"PAYONCE_HOME": str(home)}, prog_name="payonce")


def test_the_overview_names_every_command_with_a_sentence(home: Path) -> None:
    result = run(home, "--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.output


def test_the_overview_loads_no_command() -> None:
    """So that it answers at once: the commands bring the web framework and the database along."""
    code = (
        "import sys; sys.argv[1:] = ['--help']; from entrypoints.cli import main; main(standalone_mode=False)"
    )
    heavy = "print([name for name in ('litestar', 'sqlalchemy', 'httpx', 'rich') if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{heavy}"], capture_output=True, text=True, check=True
    )
    assert result.stdout.endswith("[]\n")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "sandbox"])
def test_each_command_explains_itself(home: Path, name: str) -> None:
    result = run(home, name, "--help")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: payonce {name}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["keys", "--algorithm", "HS256"],
        ["token", "--sub", "u_1"],
        ["token", "--scope", "orders:read"],
        ["token", "--scope", "everything", "--sub", "u_1"],
        ["token", "--scope", "orders:read", "--sub", "u_1", "--ttl", "0"],
        ["up", "--port", "65536"],
        ["demo", "--orders", "0"],
        ["demo", "--ready-file", "/nowhere.json"],
    ],
)
def test_wrong_usage_ends_with_exit_code_2(home: Path, arguments: list[str]) -> None:
    assert run(home, *arguments).exit_code == 2


def test_a_wrong_setting_ends_with_one_sentence_and_exit_code_2() -> None:
    result = CliRunner().invoke(main, ["keys"], env={"PAYONCE_PORTT": "1"})
    assert (result.exit_code, result.output) == (
        2,
        "Error: PAYONCE_PORTT is not a setting; did you mean PAYONCE_PORT?\n",
    )


def test_keys_are_made_shown_and_rotated(home: Path) -> None:
    first = json.loads(run(home, "keys", "--json").stdout)["keys"]
    assert json.loads(run(home, "keys", "--json").stdout)["keys"] == first
    both = json.loads(run(home, "keys", "--rotate", "--algorithm", "ES256", "--json").stdout)["keys"]
    assert [key["alg"] for key in both] == ["ES256", "EdDSA"]
    assert both[1:] == first
    assert "still accepted" in run(home, "keys").stdout
    assert run(home, "keys", "--withdraw", both[0]["kid"]).exit_code == 2
    left = json.loads(run(home, "keys", "--withdraw", both[1]["kid"], "--json").stdout)["keys"]
    assert left == [both[0]]


def test_a_token_needs_keys(home: Path) -> None:
    result = run(home, "token", "--sub", "u_1", "--scope", "orders:read")
    assert result.exit_code == 2
    assert "`payonce keys` makes signing keys" in result.output
    run(home, "keys")
    result = run(home, "token", "--sub", "u_1", "--scope", "orders:read", "--scope", "orders:write", "--json")
    assert json.loads(result.output)["scopes"] == ["orders:read", "orders:write"]
    assert run(home, "token", "--sub", "u_1", "--scope", "orders:read,users:any").output.count(".") == 2


def test_certificates_are_made_once_and_renewed(home: Path) -> None:
    made = run(home, "certs", "--name", "orders.internal", "--json")
    assert made.exit_code == 0, made.output
    folder = Path(json.loads(made.output)["authority"]).parent
    before = (folder / "payments.pem").read_bytes()
    again = run(home, "certs")
    assert again.exit_code == 2
    assert "is not overwritten" in again.output
    assert run(home, "certs", "--renew").exit_code == 0
    assert (folder / "payments.pem").read_bytes() != before


def test_the_payment_service_has_no_worker(home: Path) -> None:
    refused = run(home, "worker", "--service", "payments")
    assert refused.exit_code == 2
    assert "no work for a worker" in refused.output
