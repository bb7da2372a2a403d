"""The files of deployments speak of what exists: settings, commands, ports and paths, and times that fit each other."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry

from adapters.mail.smtp import PORTS
from entrypoints.cli import main
from entrypoints.container import in_memory
from entrypoints.server import GRACE_SECONDS, KEEP_ALIVE_SECONDS
from entrypoints.settings import Settings
from tests.support.services import free_port, redis_program

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
VARIABLES = {name.upper() for name in get_type_hints(Settings)}
# What the last telemetry may take.
FLUSH_SECONDS = 5
SECRETS = {
    "DATABASE_URL": "postgresql://signalbox:hidden@postgres/signalbox",
    "REDIS_URL": "redis://:hidden@redis:6379/0",
    "JWT_SECRET": "0f8HqT2mPz6LwX4bVd1sKc9RgYn5JeAu7QhIo3Zt",
    "SMTP_URL": "smtp://signalbox:hidden@mail.example.org:587",
}
# What Render asks for when the services are made.
ASKED = {"PUBLIC_URL": "https://signalbox.onrender.com", "MAIL_FROM": "Signalbox <signalbox@example.org>"}

Json = dict[str, Any]


def manifests() -> list[Json]:
    return [
        document
        for path in sorted(KUBERNETES.glob("*.yaml"))
        if path.name != "kustomization.yaml"
        for document in yaml.safe_load_all(path.read_text())
    ]


def manifest(kind: str, name: str) -> Json:
    (found,) = (each for each in manifests() if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


def templates() -> Iterator[Json]:
    for each in manifests():
        if each["kind"] in {"Deployment", "Job"}:
            yield each["spec"]["template"]


def pods() -> Iterator[Json]:
    for template in templates():
        yield template["spec"]


def text(path: str) -> str:
    return (ROOT / path).read_text()


COMPOSE: Json = yaml.safe_load(text("compose.yaml"))
RENDER: Json = yaml.safe_load(text("deploy/render.yaml"))
RAILWAY: Json = tomllib.loads(text("deploy/railway.toml"))
OWN: dict[str, Json] = {
    name: service for name, service in COMPOSE["services"].items() if "signalbox:" in service["image"]
}
IMAGE: dict[str, str] = dict(
    re.findall(r"^(?:ENV)? +([A-Z_]+)=(\S+)", text("Dockerfile").rpartition("FROM ")[2], flags=re.MULTILINE)
)
EXAMPLE: dict[str, str] = dict(re.findall(r"^([A-Z_]+)=(.*)$", text("deploy/compose.env.example"), flags=re.MULTILINE))


def in_compose(name: str) -> dict[str, str]:
    """The environment of a service, with the example's values and secrets in it."""
    passwords = {key: "0f8HqT2mPz6LwX4b" for key in EXAMPLE if key.endswith("_PASSWORD")}
    values = EXAMPLE | passwords | {"JWT_SECRET": SECRETS["JWT_SECRET"]}
    return {
        key: re.sub(r"\$\{(\w+)[^}]*\}", lambda variable: values[variable[1]], str(value))
        for key, value in OWN[name]["environment"].items()
    }


def on_render() -> dict[str, str]:
    (group,) = RENDER["envVarGroups"]
    named = [variable for service in RENDER["services"] for variable in service.get("envVars", [])]
    return {
        each["key"]: str(each.get("value", (SECRETS | ASKED).get(each["key"], "")))
        for each in [*group["envVars"], *named]
        if "key" in each
    }


def environments() -> Iterator[Any]:
    """Every environment that a file describes, as the process will see it."""
    for name in OWN:
        yield pytest.param(IMAGE | in_compose(name), id=f"compose {name}")
    yield pytest.param(IMAGE | manifest("ConfigMap", "signalbox")["data"] | SECRETS, id="kubernetes")
    yield pytest.param(IMAGE | on_render() | {"RENDER": "true"}, id="render")


@pytest.mark.parametrize("environment", list(environments()))
def test_every_environment_describes_a_server(environment: dict[str, str]) -> None:
    foreign = set(environment) - VARIABLES - {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "RENDER"}
    assert not foreign, f"there are no such settings: {foreign}"
    settings = Settings.read(environment)
    assert settings.in_production
    assert settings.host == "0.0.0.0"
    assert settings.trusted_proxies
    assert (settings.port, settings.probe_port) == (8000, 9000)


def test_the_secret_of_kubernetes_has_what_the_settings_need() -> None:
    assert set(manifest("Secret", "signalbox")["stringData"]) == set(SECRETS)
    for name in ("signalbox", "signalbox-owner"):
        assert set(manifest("Secret", name)["stringData"].values()) == {""}


def test_the_owner_of_the_tables_migrates_and_nobody_else_has_its_password() -> None:
    assert set(manifest("Secret", "signalbox-owner")["stringData"]) == {"DATABASE_URL"}
    for pod in pods():
        (container,) = pod["containers"]
        secrets = [source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source]
        # Of two that have a variable, the later one counts.
        assert secrets == (["signalbox", "signalbox-owner"] if "migrate" in container["args"] else ["signalbox"])
    roles = set(re.findall(r"^CREATE ROLE (\w+)", text("deploy/postgres/roles.sql"), flags=re.MULTILINE))
    assert roles == {"signalbox", "signalbox_owner"}
    for name in OWN:
        role = "signalbox_owner" if name == "migrate" else "signalbox"
        assert in_compose(name)["DATABASE_URL"].startswith(f"postgresql://{role}:")
    given = {name for name, service in COMPOSE["services"].items() if "OWNER_PASSWORD" in str(service)}
    assert given == {"postgres", "migrate"}
    asked = set(re.findall(r"getenv \w+ (\w+)", text("deploy/postgres/roles.sql")))
    assert asked == {"DATABASE_PASSWORD", "DATABASE_OWNER_PASSWORD"}
    assert asked < set(COMPOSE["services"]["postgres"]["environment"])


def test_only_our_processes_share_a_network_with_postgresql_and_redis() -> None:
    networks = {name: set(service["networks"]) for name, service in COMPOSE["services"].items()}
    assert set().union(*networks.values()) == set(COMPOSE["networks"])

    def beside(name: str) -> set[str]:
        return {other for other, shared in networks.items() if shared & networks[name]} - {name}

    assert beside("postgres") == set(OWN)
    assert beside("redis") == set(OWN) - {"migrate"}
    assert beside("mailpit") == set(OWN) - {"migrate"}
    ports = {
        name: {port["port"] for rule in manifest("NetworkPolicy", name)["spec"]["egress"] for port in rule["ports"]}
        for name in ("needs", "needs-of-processes")
    }
    assert ports == {"needs": {53, 5432}, "needs-of-processes": {6379, 4318, *PORTS.values()}}
    (rule,) = manifest("NetworkPolicy", "needs-of-processes")["spec"]["podSelector"]["matchExpressions"]
    components = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in templates()}
    assert set(rule["values"]) == components - {"migrate"}


def test_redis_lets_nobody_in_without_the_password(tmp_path: Path) -> None:
    """The very command of compose.yaml, with the Redis of the tests."""
    service, password, port = COMPOSE["services"]["redis"], "it is theirs", free_port()
    assert service["environment"]["REDISCLI_AUTH"].startswith("${REDIS_PASSWORD:?")
    for name in set(OWN) - {"migrate"}:
        assert in_compose(name)["REDIS_URL"] == "redis://:0f8HqT2mPz6LwX4b@redis:6379/0"
    assert service["command"][:2] == ["sh", "-c"]
    script = service["command"][2].replace("$$", "$").replace(" --save", f" --port {port} --save")
    (tmp_path / "redis-server").symlink_to(redis_program())
    path = f"{tmp_path}:{os.environ['PATH']}"
    process = subprocess.Popen(
        ["sh", "-c", script], cwd=tmp_path, env={"PATH": path, "REDISCLI_AUTH": password}, stdout=subprocess.DEVNULL
    )
    try:
        with Redis(port=port, password=password, retry=Retry(ConstantBackoff(0.05), 200)) as client:
            assert client.ping()
            settings: Any = client.config_get("*")
            assert (settings["maxmemory-policy"], settings["save"]) == ("noeviction", "")
        with Redis(port=port) as stranger, pytest.raises(AuthenticationError):
            stranger.publish("signalbox:hint:0:workspace:any", "forged")
        # It is the program itself that is told to stop, and not a shell before it.
        assert b"requirepass" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert password.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.terminate()
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()


DIGEST = "sha256:" + "0123456789abcdef" * 4


def pinned(tmp_path: Path, answer: str) -> subprocess.CompletedProcess[str]:
    """What the command says in a folder with our files, where Docker answers like this."""
    for name in ("compose.yaml", "Dockerfile"):
        if not (tmp_path / name).exists():
            (tmp_path / name).write_text(text(name))
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\necho "$4" >> {tmp_path}/asked\n{answer}\n')
    docker.chmod(0o755)
    command: list[str | Path] = [sys.executable, ROOT / "deploy" / "pin_images.py"]
    command += ["--docker", docker, "--folder", tmp_path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_image_that_is_pulled_is_named_by_its_version_and_its_digest() -> None:
    pulled = [service["image"] for name, service in COMPOSE["services"].items() if name not in OWN]
    pulled += re.findall(r"^(?:FROM|# *syntax=) *(\S+)", text("Dockerfile"), flags=re.MULTILINE)
    assert len(pulled) >= 8
    exact = re.compile(r"[\w./-]+:v?\d+(\.\d+)+[\w.-]*@sha256:[0-9a-f]{64}")
    assert [image for image in pulled if not exact.fullmatch(image)] == []


def test_every_image_that_is_pulled_can_be_pinned_to_its_digest_and_again_later(tmp_path: Path) -> None:
    pulled = {s["image"].partition("@")[0] for name, s in COMPOSE["services"].items() if name not in OWN}
    pulled |= set(re.findall(r"^FROM ([\w./-]+:[\w.-]+)", text("Dockerfile"), flags=re.MULTILINE))
    for _ in range(2):
        assert pinned(tmp_path, f"echo {DIGEST}").returncode == 0
        services = yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]
        images = {service["image"] for name, service in services.items() if name not in OWN}
        images |= set(re.findall(r"^FROM (\S+)", (tmp_path / "Dockerfile").read_text(), flags=re.MULTILINE))
        assert images == {f"{image}@{DIGEST}" for image in pulled}
        assert [services[name]["image"] for name in OWN] == [service["image"] for service in OWN.values()]
    assert set((tmp_path / "asked").read_text().split()) == pulled


@pytest.mark.parametrize("answer", ["echo unauthorized >&2; exit 1", "echo latest", "exit 0"])
def test_where_a_digest_cannot_be_learnt_nothing_is_changed(tmp_path: Path, answer: str) -> None:
    done = pinned(tmp_path, f'case "$4" in redis*) {answer};; *) echo {DIGEST};; esac')
    assert done.returncode == 1
    assert "Nothing was changed: redis:" in done.stderr
    assert (tmp_path / "compose.yaml").read_text() == text("compose.yaml")
    assert (tmp_path / "Dockerfile").read_text() == text("Dockerfile")


def test_compose_holds_no_secret_and_asks_for_what_it_needs() -> None:
    written = text("compose.yaml")
    asked = dict(re.findall(r"\$\{(\w+)(:[?-])", written))
    assert set(asked) == set(EXAMPLE)
    required = {name for name, how in asked.items() if how == ":?"}
    assert required == {
        *("POSTGRES_PASSWORD", "DATABASE_OWNER_PASSWORD", "DATABASE_PASSWORD"),
        *("REDIS_PASSWORD", "JWT_SECRET", "GRAFANA_PASSWORD"),
    }
    assert {name for name, value in EXAMPLE.items() if not value} >= required
    assert not re.findall(r"^ *\w*(?:PASSWORD|SECRETS?|TOKEN): *[^$\s].*", written, flags=re.MULTILINE)


def commands() -> Iterator[Any]:
    yield json.loads(text("Dockerfile").rpartition("CMD ")[2])
    for service in OWN.values():
        yield service["command"]
    for pod in pods():
        yield from (container["args"] for container in pod["containers"])
    yield from (command.split() for command in RAILWAY["deploy"]["preDeployCommand"])
    yield RAILWAY["deploy"]["startCommand"].split()
    for service in RENDER["services"]:
        for kind in ("preDeployCommand", "dockerCommand"):
            if kind in service:
                yield service[kind].split()


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_every_command_exists(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    program, name, *options = command
    assert program == "signalbox"
    with pytest.raises(SystemExit) as done:
        main([name, "--help"])
    assert done.value.code == 0
    usage = capsys.readouterr().out
    assert all(option in usage for option in options)


def test_every_probe_asks_what_is_answered_there() -> None:
    routes = {route.path for route in in_memory().litestar().routes}
    assert {RAILWAY["deploy"]["healthcheckPath"], "/live"} <= routes
    assert {service["healthCheckPath"] for service in RENDER["services"] if service["type"] == "web"} <= routes
    for name in ("web-1", "web-2"):
        assert f"http://127.0.0.1:{IMAGE['PORT']}/ready" in OWN[name]["healthcheck"]["test"][-1]
    for pod in pods():
        for container in pod["containers"]:
            ports = {port["name"]: str(port["containerPort"]) for port in container.get("ports", [])}
            assert ports.get("probe", IMAGE["PROBE_PORT"]) == IMAGE["PROBE_PORT"]
            assert ports.get("http", IMAGE["PORT"]) == IMAGE["PORT"]
            asked = {
                (p["httpGet"]["path"], p["httpGet"]["port"]) for key, p in container.items() if key.endswith("Probe")
            }
            assert asked <= {("/live", "probe"), ("/ready", "http")}
            assert {port for _, port in asked} <= set(ports)


def test_ports_and_names_are_the_same_everywhere() -> None:
    assert set(re.findall(r"^EXPOSE (\d+) (\d+)", text("Dockerfile"), flags=re.MULTILINE)[0]) == {
        IMAGE["PORT"],
        IMAGE["PROBE_PORT"],
    }
    servers = re.findall(r"^server (\S+):(\d+)", text("deploy/nginx/servers.conf"), flags=re.MULTILINE)
    serving = {name for name, service in OWN.items() if service["command"][1] == "serve"}
    assert {name for name, _ in servers} == serving
    assert {port for _, port in servers} == {IMAGE["PORT"]}
    proxy = COMPOSE["services"]["nginx"]["networks"]["front"]["ipv4_address"]
    assert {in_compose(name)["TRUSTED_PROXIES"] for name in OWN} == {f"{proxy}/32"}
    opened = {
        port["port"] for each in manifests() if each["kind"] == "NetworkPolicy"
        for rule in each["spec"].get("ingress", []) for port in rule["ports"]
    }  # fmt: skip
    assert opened == {int(IMAGE["PORT"]), int(IMAGE["PROBE_PORT"])}
    assert manifest("Service", "web")["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]


def test_only_the_api_and_the_client_are_public() -> None:
    (rule,) = manifest("Ingress", "web")["spec"]["rules"]
    public = {path["path"] for path in rule["http"]["paths"]}
    assert public == {"/api", "/client", "/client.js"}
    opened = {name: port for name, each in COMPOSE["services"].items() for port in each.get("ports", [])}
    assert [name for name, port in opened.items() if not port.startswith("127.0.0.1:")] == ["nginx"]
    assert not [name for name in OWN if name in opened]


def test_whoever_is_told_to_end_gets_the_time_for_it() -> None:
    usual = Settings()
    needed = usual.drain_seconds + GRACE_SECONDS + FLUSH_SECONDS
    for name, service in OWN.items():
        assert seconds(service["stop_grace_period"]) >= needed, name
    assert RAILWAY["deploy"]["drainingSeconds"] >= needed
    drain = float(on_render()["DRAIN_SECONDS"])
    for service in RENDER["services"]:
        if service["type"] != "keyvalue":
            assert service["maxShutdownDelaySeconds"] >= drain + GRACE_SECONDS + FLUSH_SECONDS
    drain = float(manifest("ConfigMap", "signalbox")["data"]["DRAIN_SECONDS"])
    for name in ("web", "worker"):
        pod = manifest("Deployment", name)["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        before = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert pod["terminationGracePeriodSeconds"] >= before + drain + GRACE_SECONDS + FLUSH_SECONDS


def test_nginx_has_the_limits_of_the_processes_behind_it() -> None:
    written = text("deploy/nginx/nginx.conf")

    def said(name: str) -> str:
        return re.findall(rf"^ *{name} +(\S+);", written, flags=re.MULTILINE)[0]  # type: ignore[no-any-return]

    usual = Settings()
    assert said("client_max_body_size") == "1m"
    assert usual.max_body_bytes == 1024 * 1024
    assert seconds(said("proxy_read_timeout")) > usual.request_deadline_seconds
    assert KEEP_ALIVE_SECONDS > 60  # for so long nginx keeps a connection, if it is not told otherwise


def test_there_are_connections_for_every_process() -> None:
    allowed = int(re.findall(r"max_connections=(\d+)", " ".join(COMPOSE["services"]["postgres"]["command"]))[0])
    assert allowed >= len(OWN) * (Settings().database_pool_size + 2) + 20
    scaling = text("deploy/kubernetes/autoscaling.yaml")
    most = yaml.safe_load(scaling)["spec"]["maxReplicas"] + 1
    each = int(manifest("ConfigMap", "signalbox")["data"]["DATABASE_POOL_SIZE"]) + 2
    assert f"PostgreSQL has to allow {most * each}." in scaling.replace("\n#", "")


def test_no_container_can_do_more_than_it_has_to() -> None:
    user = int(re.findall(r"^USER (\d+):", text("Dockerfile"), flags=re.MULTILINE)[0])
    for pod in pods():
        assert pod["automountServiceAccountToken"] is False
        context = pod["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"]) == (True, user)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
    for name in (*OWN, "nginx", "redis", "mailpit"):
        service = COMPOSE["services"][name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert service["user"] != "0:0"
    for name, service in COMPOSE["services"].items():
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert not service["image"].endswith(":latest"), name
        assert service["networks"], name


def test_kustomize_knows_every_file() -> None:
    known = yaml.safe_load(text("deploy/kubernetes/kustomization.yaml"))
    there = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml", "secret.example.yaml"}
    assert set(known["resources"]) == there
    assert {image["name"] for image in known["images"]} == {c["image"] for pod in pods() for c in pod["containers"]}
    assert {each["metadata"].get("namespace", "signalbox") for each in manifests()} == {known["namespace"]}


def test_what_scales_and_guards_the_servers_names_them() -> None:
    labels = manifest("Deployment", "web")["spec"]["template"]["metadata"]["labels"]
    assert manifest("HorizontalPodAutoscaler", "web")["spec"]["scaleTargetRef"]["name"] == "web"
    assert manifest("PodDisruptionBudget", "web")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("Service", "web")["spec"]["selector"] == labels
    assert manifest("Deployment", "web")["spec"].get("replicas") is None  # or every apply would undo the scaling


def test_the_platforms_build_our_image() -> None:
    assert (ROOT / RAILWAY["build"]["dockerfilePath"]).exists()
    assert {service["dockerfilePath"] for service in RENDER["services"] if "dockerfilePath" in service} == {
        "./Dockerfile"
    }


def seconds(duration: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(s|m)", duration).groups()  # type: ignore[union-attr]
    return float(number) * {"s": 1, "m": 60}[unit]
