"""What the examples in `deploy/` name is there: variables, commands, files and limits."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from carecollective.serving.children import STOP_SECONDS
from carecollective.serving.supervisor import KILLED_SECONDS
from carecollective.web.server_limits import BODY_BYTES, KEEP_ALIVE_SECONDS
from tests.deploy.files import DEPLOY, FILES, compose, copied_paths, procfile, read, unit
from tests.postgres.support import PROJECT

SOURCES = "".join(
    path.read_text(encoding="utf-8")
    for path in [
        PROJECT / "gunicorn.conf.py",
        *PROJECT.glob("carecollective/**/*.py"),
        *PROJECT.glob("rollout/**/*.py"),
    ]
)
README = (PROJECT / "README.md").read_text(encoding="utf-8")
# Other programs' own.
FOREIGN = {"CARE_PASSWORD", "GRAFANA_PASSWORD", "PGBOUNCER_PASSWORD", "POSTGRES_PASSWORD", "SITE_NAME", "UPSTREAM"}
PYTHONS_OWN = {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}


def variables() -> set[tuple[str, str]]:
    """Return each variable of the site that a file sets, with that file's name."""
    found = {("compose.yaml", name) for name in compose()["x-site"]["environment"]}
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assigned = re.findall(r"^(?:#\s+|Environment=|ENV |ARG )?([A-Z][A-Z_0-9]+)=", text, re.MULTILINE)
        if path.name == "Dockerfile":
            assigned += [
                name for line in re.findall(r"^ENV (.*)$", text, re.MULTILINE) for name in re.findall(r"(\w+)=", line)
            ]
        found |= {(path.name, name) for name in assigned}
    return {(file, name) for file, name in found if name not in FOREIGN | PYTHONS_OWN}


@pytest.mark.parametrize(("file", "name"), sorted(variables()))
def test_each_variable_is_used_and_explained_in_the_readme(file: str, name: str) -> None:
    assert f'"{name}"' in SOURCES
    assert f"`{name}`" in README


def test_each_command_of_manage_py_exists() -> None:
    named = {
        name
        for path in FILES
        for name in re.findall(r"manage\.py[ ,]+([a-z_]+)\b(?!\.)", path.read_text(encoding="utf-8"))
    }
    assert named >= {"backup", "collectstatic", "guard", "prepare_database", "serve", "worker"}
    assert named <= set(get_commands())


def test_each_image_is_pinned_to_a_version() -> None:
    images = [service["image"] for service in compose()["services"].values() if "build" not in service]
    images += re.findall(r"^FROM (\S+)", read("Dockerfile"), re.MULTILINE)
    assert len(images) >= 7
    assert [image for image in images if not re.search(r":v?\d+\.\d+(\.\d+)?(-[\w.-]+)?$", image)] == []


def test_the_image_takes_what_the_project_has_and_no_more() -> None:
    allowed = {line[1:] for line in read("Dockerfile.dockerignore").splitlines() if line.startswith("!")}
    assert set(copied_paths()) == allowed
    assert [path for path in allowed if not (PROJECT / path).exists()] == []
    packages = {path.parent.name for path in PROJECT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages <= allowed


def test_compose_runs_each_process_as_the_procfile_does() -> None:
    services = compose()["services"]
    assert {"web", "worker", "guard", "postgres", "pgbouncer", "prometheus", "grafana", "caddy"} <= set(services)
    for name, process in (("prepare", "release"), ("worker", "worker"), ("guard", "guard")):
        assert " ".join(services[name]["command"]) == procfile()[process]
    serve = procfile()["web"].partition("exec ")[2]
    assert f'CMD ["sh", "-c", "exec {serve}"]' in read("Dockerfile")


def test_each_process_of_ours_runs_without_rights() -> None:
    for service in compose()["services"].values():
        if "build" in service:
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
    last_stage = read("Dockerfile").rpartition("\nFROM ")[2]
    assert re.search(r"^USER [1-9]\d*$", last_stage, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*\n\s+CMD .*/api/health/live", last_stage, re.MULTILINE)


def test_each_file_that_the_composition_brings_in_exists() -> None:
    mounted = [
        mount.split(":")[0]
        for service in compose()["services"].values()
        for mount in service.get("volumes", [])
        if mount.startswith(".")
    ]
    assert len(mounted) >= 8
    assert [path for path in mounted if not (DEPLOY / path).is_file()] == []


def test_what_the_composition_asks_for_is_in_its_example() -> None:
    asked = set(re.findall(r"\$\{(\w+)", read("compose.yaml")))
    offered = set(re.findall(r"^(\w+)=", read("compose.env.example"), re.MULTILINE))
    assert asked == offered


def test_proxies_let_go_of_connections_before_the_site_does() -> None:
    nginx = re.search(r"keepalive_timeout (\d+)s", read("nginx.conf"))
    caddy = re.search(r"keepalive (\d+)s", read("Caddyfile"))
    assert nginx
    assert caddy
    assert int(nginx[1]) < KEEP_ALIVE_SECONDS
    assert int(caddy[1]) < KEEP_ALIVE_SECONDS


def test_nginx_passes_errors_on_and_overwrites_trusted_headers() -> None:
    nginx = read("nginx.conf")
    limit = re.search(r"client_max_body_size (\d+)m", nginx)
    assert limit
    assert int(limit[1]) * 2**20 > BODY_BYTES
    for header in ("Host $host", "X-Forwarded-For $remote_addr", "X-Forwarded-Proto $scheme"):
        assert f"proxy_set_header {header};" in nginx


@pytest.mark.parametrize("name", [path.name for path in FILES if path.suffix == ".service"])
def test_each_unit_runs_in_the_project_with_data_of_its_own(name: str) -> None:
    found = unit(name)
    (command,) = found["ExecStart"]
    assert Path(command.split()[0]).is_relative_to(found["WorkingDirectory"][0])
    assert f"DATA_DIR=/var/lib/{found['StateDirectory'][0]}" in found["Environment"]
    assert found["User"] != ["root"]
    if "TimeoutStopSec" in found:
        assert int(found["TimeoutStopSec"][0]) > STOP_SECONDS + KILLED_SECONDS
