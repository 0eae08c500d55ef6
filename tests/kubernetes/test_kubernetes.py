"""deploy/kubernetes: valid for the cluster's API, and true to the service that it runs."""

import copy
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest
import yaml

from app.main import create_app
from app.metrics.definitions import QUEUE_DEPTH
from app.settings import Settings, read_settings
from tests.kubernetes.rendering import (
    KUBERNETES,
    README,
    ROOT,
    Manifest,
    built,
    containers_of,
    kustomization,
    kustomization_in_readme,
    matches,
    of_kind,
    pod_of,
    the,
)
from tests.kubernetes.restricted import violations

# The oldest whose fields these manifests use all of, and the newest that the schemas are there for.
VERSIONS: Final = ("1.30", kubernetes_validate.latest_version())
OVERLAYS: Final = ("keras", "onnx", "canary")

# What a person may put together: an overlay, and components.
TOGETHER: Final[dict[str, tuple[str, ...]]] = {
    "keras": ("keras",),
    "onnx": ("onnx",),
    "canary": ("canary",),
    "a volume, keys, a canary": ("onnx", "store-volume", "api-keys", "canary"),
    "object storage, a canary": ("keras", "store-object-storage", "canary"),
    "without Prometheus": ("onnx", "without-prometheus"),
}


@pytest.fixture(scope="module")
def put_together(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Manifest, ...]]:
    """Build an overlay with components, each once."""
    folders: dict[tuple[str, ...], Path] = {}

    def build(overlay: str, *components: str) -> tuple[Manifest, ...]:
        asked = (overlay, *components)
        if asked not in folders:
            folder = tmp_path_factory.mktemp("kustomization")
            folders[asked] = kustomization(folder, overlay, *components)
        return built(folders[asked])

    return build


@pytest.fixture(params=list(TOGETHER.values()), ids=list(TOGETHER))
def manifests(
    request: pytest.FixtureRequest, put_together: Callable[..., tuple[Manifest, ...]]
) -> tuple[Manifest, ...]:
    """Each of what may be put together."""
    return put_together(*request.param)


def deployments(manifests: tuple[Manifest, ...]) -> list[Manifest]:
    found = list(of_kind(manifests, "Deployment"))
    assert found
    return found


def hark_container(deployment: Manifest) -> Manifest:
    (container,) = pod_of(deployment)["containers"]
    assert container["name"] == "hark"
    found: Manifest = container
    return found


def labels_of_pods(deployment: Manifest) -> dict[str, str]:
    labels: dict[str, str] = deployment["spec"]["template"]["metadata"]["labels"]
    return labels


# What the cluster's API takes


def test_every_object_is_what_the_api_takes(manifests: tuple[Manifest, ...]) -> None:
    kinds = set()
    for manifest in manifests:
        kinds.add(manifest["kind"])
        if manifest["kind"] != "ServiceMonitor":
            for version in VERSIONS:
                kubernetes_validate.validate(manifest, version, strict=True)
    needed = {
        *("Namespace", "Deployment", "Service", "PodDisruptionBudget"),
        *("HorizontalPodAutoscaler", "NetworkPolicy"),
    }
    assert needed <= kinds


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda spec: spec.update(replicas="two"), id="wrong type"),
        pytest.param(lambda spec: spec.update(replica=2), id="unknown field"),
        pytest.param(lambda spec: spec.pop("selector"), id="missing field"),
    ],
)
def test_a_wrong_object_would_be_seen(change: Callable[[Any], None]) -> None:
    deployment = copy.deepcopy(the(built(KUBERNETES / "overlays" / "onnx"), "Deployment"))
    change(deployment["spec"])
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, VERSIONS[0], strict=True)


def test_the_service_monitor_is_what_the_operator_takes() -> None:
    # Made from the operator's own definitions; the import takes seconds.
    from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor

    def read_back(manifest: Manifest) -> Any:
        monitor = ServiceMonitor.model_validate(manifest)
        return monitor.model_dump(mode="json", by_alias=True, exclude_unset=True)

    manifest = the(built(KUBERNETES / "overlays" / "onnx"), "ServiceMonitor")
    assert read_back(manifest) == manifest
    wrong = copy.deepcopy(manifest)
    wrong["spec"]["endpoints"][0]["intervall"] = "15s"
    assert read_back(wrong) != wrong, "a field that the operator does not know is lost"


def test_no_name_stands_twice(manifests: tuple[Manifest, ...]) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in manifests]
    assert len(set(names)) == len(names)
    namespaces = {each["metadata"].get("namespace", "hark") for each in manifests}
    assert namespaces == {"hark"}


# The restricted Pod Security Standard


def test_every_pod_meets_the_restricted_standard(manifests: tuple[Manifest, ...]) -> None:
    for deployment in deployments(manifests):
        pod = pod_of(deployment)
        assert list(violations(pod)) == []
        for container in containers_of(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["resources"]["limits"].keys() == {"cpu", "memory"}
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["automountServiceAccountToken"] is False
    labels = the(manifests, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def container(pod: Manifest) -> Manifest:
    (found,) = pod["containers"]
    security: Manifest = found["securityContext"]
    return security


@pytest.mark.parametrize(
    ("violation", "change"),
    [
        ("hostNetwork", lambda pod: pod.update(hostNetwork=True)),
        ("volume hostPath", lambda pod: pod["volumes"].append({"name": "x", "hostPath": {}})),
        ("runAsNonRoot", lambda pod: pod["securityContext"].pop("runAsNonRoot")),
        ("runAsUser", lambda pod: container(pod).update(runAsUser=0)),
        ("seccompProfile", lambda pod: pod["securityContext"].pop("seccompProfile")),
        ("privileged", lambda pod: container(pod).update(privileged=True)),
        ("allowPrivilegeEscalation", lambda pod: container(pod).pop("allowPrivilegeEscalation")),
        ("capabilities.drop", lambda pod: container(pod).pop("capabilities")),
        ("capabilities.add", lambda pod: container(pod)["capabilities"].update(add=["SYS_ADMIN"])),
        ("hostPort", lambda pod: pod["containers"][0]["ports"][0].update(hostPort=80)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_pod_that_may_more_would_be_seen(
    violation: str, change: Callable[[Manifest], object]
) -> None:
    pod = copy.deepcopy(pod_of(the(built(KUBERNETES / "overlays" / "onnx"), "Deployment")))
    change(pod)
    assert list(violations(pod)) == [violation]


# The service that runs in the pods


@pytest.fixture(scope="module")
def paths() -> set[str]:
    """What the service answers."""
    return set(create_app(read_settings()).openapi()["paths"])


def test_probes_and_scrapes_ask_for_what_the_service_has(
    manifests: tuple[Manifest, ...], paths: set[str]
) -> None:
    for deployment in deployments(manifests):
        running = hark_container(deployment)
        assert running["startupProbe"]["httpGet"]["path"] == "/readyz"
        assert running["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert running["livenessProbe"]["httpGet"]["path"] == "/livez"
    asked = {"/readyz", "/livez"}
    for monitor in of_kind(manifests, "ServiceMonitor"):
        asked |= {endpoint["path"] for endpoint in monitor["spec"]["endpoints"]}
    assert asked <= paths


def test_every_setting_is_one_of_the_services_and_valid(
    manifests: tuple[Manifest, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {f"HARK_{name.upper()}" for name in Settings.model_fields}
    for deployment in deployments(manifests):
        running = hark_container(deployment)
        values = {each["name"]: each["value"] for each in running["env"]}
        assert set(values) <= known
        assert len(values) == len(running["env"])
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        settings = read_settings()
        # A pod is ended no earlier than the service would end itself.
        grace = pod_of(deployment)["terminationGracePeriodSeconds"]
        assert grace >= settings.drain_seconds + settings.shutdown_seconds
        # What is requested is used by the processes; uploads may come on top of that.
        resources = running["resources"]
        workers = int(resources["limits"]["cpu"])
        uploads = (workers + settings.queue_size) * settings.max_upload_bytes
        requested = in_bytes(resources["requests"]["memory"])
        assert in_bytes(resources["limits"]["memory"]) >= requested + uploads


def in_bytes(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * {"Mi": 2**20, "Gi": 2**30}[unit]


def test_the_images_are_of_this_version_and_not_of_whatever_is_latest(
    manifests: tuple[Manifest, ...],
) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for deployment in deployments(manifests):
        for each in containers_of(pod_of(deployment)):
            _, _, tag = each["image"].rpartition(":")
            if each["name"] == "hark":
                assert tag in {version, f"{version}-slim"}
            else:
                assert re.fullmatch(r"\d+\.\d+\.\d+", tag)


@pytest.mark.parametrize(("overlay", "suffix"), [("keras", ""), ("onnx", "-slim")])
def test_each_engine_has_its_image(overlay: str, suffix: str) -> None:
    image = hark_container(the(built(KUBERNETES / "overlays" / overlay), "Deployment"))["image"]
    assert image.endswith("-slim") is bool(suffix)


# Who means whom


def test_what_selects_pods_finds_those_that_it_means(manifests: tuple[Manifest, ...]) -> None:
    stable, *canaries = sorted(deployments(manifests), key=lambda each: each["metadata"]["name"])
    for deployment in (stable, *canaries):
        assert matches(deployment["spec"]["selector"], labels_of_pods(deployment))
        for spread in pod_of(deployment)["topologySpreadConstraints"]:
            assert matches(spread["labelSelector"], labels_of_pods(deployment))
        for whose in ("Service", "NetworkPolicy"):
            spec = the(manifests, whose)["spec"]
            selector = spec.get("podSelector") or {"matchLabels": spec["selector"]}
            assert matches(selector, labels_of_pods(deployment))
    budget = the(manifests, "PodDisruptionBudget")["spec"]["selector"]
    assert matches(budget, labels_of_pods(stable))
    for canary in canaries:
        assert not matches(stable["spec"]["selector"], labels_of_pods(canary))
        assert not matches(canary["spec"]["selector"], labels_of_pods(stable))
        assert not matches(budget, labels_of_pods(canary))
    target = the(manifests, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", stable["metadata"]["name"])
    assert "replicas" not in stable["spec"]


def test_ports_lead_to_the_service(manifests: tuple[Manifest, ...]) -> None:
    ports = {
        port["name"]: port["containerPort"]
        for deployment in deployments(manifests)
        for port in hark_container(deployment)["ports"]
    }
    assert ports == {"http": 8000}
    for service in of_kind(manifests, "Service"):
        assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]
    policy = the(manifests, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    for rule in policy["ingress"]:
        assert [port["port"] for port in rule["ports"]] == ["http"]
    for deployment in deployments(manifests):
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert hark_container(deployment)[probe]["httpGet"]["port"] == "http"


def test_every_pod_is_scraped_once(manifests: tuple[Manifest, ...]) -> None:
    for monitor in of_kind(manifests, "ServiceMonitor"):
        scraped = [
            service
            for service in of_kind(manifests, "Service")
            if matches(monitor["spec"]["selector"], service["metadata"]["labels"])
        ]
        assert scraped == [the(manifests, "Service")]
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in {port["name"] for port in scraped[0]["spec"]["ports"]}
        for label in monitor["spec"]["podTargetLabels"]:
            assert all(label in labels_of_pods(each) for each in deployments(manifests))


def test_every_mounted_volume_is_there(manifests: tuple[Manifest, ...]) -> None:
    claims = {each["metadata"]["name"] for each in of_kind(manifests, "PersistentVolumeClaim")}
    for deployment in deployments(manifests):
        pod = pod_of(deployment)
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert len(volumes) == len(pod["volumes"])
        mounts = [mount for each in containers_of(pod) for mount in each["volumeMounts"]]
        assert {mount["name"] for mount in mounts} == set(volumes)
        for volume in volumes.values():
            if claim := volume.get("persistentVolumeClaim"):
                assert claim["claimName"] in claims


# The autoscaler


def metrics_of(manifests: tuple[Manifest, ...]) -> list[str]:
    metrics = the(manifests, "HorizontalPodAutoscaler")["spec"]["metrics"]
    return [
        each["resource"]["name"] if each["type"] == "Resource" else each["pods"]["metric"]["name"]
        for each in metrics
    ]


def test_it_goes_by_processors_and_by_the_queue_that_the_adapter_reads() -> None:
    assert metrics_of(built(KUBERNETES / "overlays" / "keras")) == ["cpu", "hark_queue_depth"]
    values = yaml.safe_load((KUBERNETES / "prometheus-adapter.yaml").read_text())
    (rule,) = values["rules"]["custom"]
    assert rule["seriesQuery"].startswith("hark_queue_depth{")
    assert re.fullmatch(rule["name"]["matches"], "hark_queue_depth")
    assert rule["name"]["as"] == "hark_queue_depth"
    assert QUEUE_DEPTH.name == "hark_queue_depth"


def test_without_prometheus_it_goes_by_processors_alone(
    put_together: Callable[..., tuple[Manifest, ...]],
) -> None:
    manifests = put_together("onnx", "without-prometheus")
    assert metrics_of(manifests) == ["cpu"]
    assert list(of_kind(manifests, "ServiceMonitor")) == []


# A canary


def test_a_canary_is_as_the_others_but_for_what_is_patched() -> None:
    manifests = built(KUBERNETES / "overlays" / "canary")
    stable, canary = (the(manifests, "Deployment", name) for name in ("hark", "hark-canary"))
    assert list(differences(pod_of(stable), pod_of(canary))) == [
        ".containers.0.image",
        ".containers.0.resources.limits.memory",
        ".containers.0.resources.requests.memory",
    ]
    assert canary["spec"]["replicas"] == 1
    alone = the(manifests, "Service", "hark-canary")["spec"]["selector"]
    assert matches({"matchLabels": alone}, labels_of_pods(canary))
    assert not matches({"matchLabels": alone}, labels_of_pods(stable))


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Yield where two manifests differ, in alphabetical order."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from differences(one.get(name), other.get(name), f"{place}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{place}.{index}")
    elif one != other:
        yield place


@pytest.mark.parametrize("component", ["store-volume", "store-object-storage", "api-keys"])
def test_a_canary_has_the_others_store_and_keys(
    put_together: Callable[..., tuple[Manifest, ...]], component: str
) -> None:
    plain = pod_of(the(put_together("onnx"), "Deployment"))
    manifests = put_together("onnx", component, "canary")
    stable, canary = (the(manifests, "Deployment", name) for name in ("hark", "hark-canary"))
    assert pod_of(canary) == pod_of(stable) != plain


# Where models come from


def test_only_a_copy_from_object_storage_may_open_connections(
    put_together: Callable[..., tuple[Manifest, ...]],
) -> None:
    for components in ((), ("store-volume", "api-keys")):
        policy = the(put_together("onnx", *components), "NetworkPolicy")
        assert policy["spec"]["egress"] == []
    policy = the(put_together("onnx", "store-object-storage"), "NetworkPolicy")
    (rule,) = policy["spec"]["egress"]
    assert {port["port"] for port in rule["ports"]} == {53, 443}


def test_a_copy_ends_where_the_service_reads(
    put_together: Callable[..., tuple[Manifest, ...]],
) -> None:
    pod = pod_of(the(put_together("onnx", "store-object-storage"), "Deployment"))
    copying, running = containers_of(pod)
    (place,) = (each for each in copying["volumeMounts"] if each["name"] == "models")
    assert place["mountPath"] in copying["args"]
    assert place in [
        {name: value for name, value in each.items() if name != "readOnly"}
        for each in running["volumeMounts"]
    ]
    assert {"name": "HARK_MODEL_STORE", "value": place["mountPath"]} in running["env"]


# The README


def test_the_readme_shows_a_kustomization_that_can_be_built(tmp_path: Path) -> None:
    manifests = built(kustomization_in_readme(tmp_path))
    for deployment in deployments(manifests):
        assert hark_container(deployment)["image"].startswith("registry.example.org/")
        assert list(violations(pod_of(deployment))) == []


def test_the_readme_makes_the_operators_rules_of_prometheus_own() -> None:
    from cloudcoil.models.prometheus_operator.v1 import PrometheusRule

    (shown,) = re.findall(
        r"```bash\n(for rules .*?)\| kubectl .*?```", README.read_text(), re.DOTALL
    )
    printed = subprocess.run(
        ["bash", "-euc", shown], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    made = list(yaml.safe_load_all(printed))
    files = sorted((ROOT / "deploy" / "prometheus" / "rules").iterdir())
    assert sorted(each["metadata"]["name"] for each in made) == [f"hark-{it.stem}" for it in files]
    for manifest in made:
        rule = PrometheusRule.model_validate(manifest)
        assert rule.model_dump(mode="json", by_alias=True, exclude_unset=True) == manifest
        path = ROOT / "deploy" / "prometheus" / "rules" / manifest["metadata"]["name"][5:]
        assert manifest["spec"] == yaml.safe_load(path.with_suffix(".yml").read_text())


def test_every_folder_that_the_readme_names_is_there() -> None:
    text = README.read_text()
    named = set(re.findall(r"deploy/kubernetes/[\w/.-]*\w", text))
    assert {f"deploy/kubernetes/overlays/{overlay}" for overlay in OVERLAYS} <= named
    assert [name for name in named if not (ROOT / name).exists()] == []
    components = {path.name for path in (KUBERNETES / "components").iterdir()}
    assert {name for name in components if f"`{name}`" not in text} == set()
