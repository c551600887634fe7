"""Every program and option in the units and the compose file of `deploy/` exists."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.servers import DELETE_OLD_RUNS

pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[1] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
BIN = Path(sys.executable).parent


def of_units() -> list[list[str]]:
    """The commands of the units, the program without its path."""
    lines = [line for unit in UNITS for line in unit.read_text().splitlines() if line.startswith("ExecStart")]
    commands = [shlex.split(line.partition("=")[2]) for line in lines]
    return [[Path(program).name, *rest] for program, *rest in commands if program != "mkdir"]


def services() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"])


def of_compose() -> list[list[str]]:
    """The commands of the compose file, those of its shell script one by one."""
    commands = []
    for service in services().values():
        program, *rest = service["command"]
        if program == "sh":
            commands += [shlex.split(line.removeprefix("exec ")) for line in rest[-1].splitlines()]
        else:
            commands.append([program, *(part for each in rest for part in each.split("=", 1))])
    return commands


CLIS = {
    "prefect": "from prefect.cli._app import _app as run",
    "mlflow": "from mlflow.cli import cli\ndef run(words): cli.main(words, standalone_mode=False)",
    "recsys": "from cli import execute as run",
}
"""Code that prints the help of all commands of a program in one process."""


def helps(program: str, commands: list[list[str]]) -> list[str]:
    """Return the help of a program's commands."""
    script = f"""
import contextlib
{CLIS[program]}
for words in {commands}:
    with contextlib.suppress(SystemExit):
        run([*words, "--help"])
    print(chr(31), flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.split("\x1f")[:-1]


def test_every_started_program_and_option_exists() -> None:
    started = [(program, [w for w in rest if w != "--no-prompt"]) for program, *rest in [*of_units(), *of_compose()]]
    assert {program for program, _ in started} == set(CLIS)
    for program in CLIS:
        ours = [words for name, words in started if name == program]
        grouped = ("server", "work-pool", "worker") if program == "prefect" else ()
        commands = [words[: 2 if words[0] in grouped else 1] for words in ours]
        texts = helps(program, commands)
        assert len(texts) == len(ours)
        for words, command, text in zip(ours, commands, texts, strict=True):
            assert "Usage: " in text and command[-1] in text, (program, command, text)
            assert not [word for word in words if word.startswith("--") and word not in text], (program, words)


def test_every_prefect_server_deletes_old_runs() -> None:
    from prefect.settings.models.server.services import ServerServicesDBVacuumSettings

    name, asked = next(iter(DELETE_OLD_RUNS.items()))
    assert {"flow_runs", "events"} <= ServerServicesDBVacuumSettings(enabled=asked).enabled_vacuum_types
    assert f"{name}={asked}\n" in (DEPLOY / "systemd" / "recsys.env.example").read_text()
    assert all(service["environment"][name] == asked for service in services().values())
    assert f"export {name}={asked} " in (DEPLOY.parent / "docs" / "production.md").read_text(encoding="utf-8")


def test_the_containers_wait_for_their_server() -> None:
    there = services()
    assert there.keys() == {"prefect", "worker", "mlflow", "serve"}
    for name, service in there.items():
        assert service["image"] == "recsys" and service["volumes"] and service["restart"] == "unless-stopped"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert name == "prefect" or service["depends_on"] == {"prefect": {"condition": "service_healthy"}}
    assert "healthcheck" in there["prefect"]


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze (Debian: systemd)")
    assert len(UNITS) == 4
    for unit in UNITS:  # whose programs are where they are here
        text = unit.read_text().replace("/opt/recsys/.venv/bin", str(BIN)).replace("/opt/recsys", str(tmp_path))
        (tmp_path / unit.name).write_text(text.replace("User=recsys", "User=root"))
    command = ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in UNITS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    faults = [line for line in done.stderr.splitlines() if "recsys-" in line]
    assert done.returncode == 0 and not faults, done.stderr
