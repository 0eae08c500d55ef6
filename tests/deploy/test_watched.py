"""What watches Hark, watching a real one: every panel and every rule has something to go by."""

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest
import yaml

from app.api.request_context import PROBES
from app.main import create_app
from app.metrics.definitions import GROUPS
from app.settings import Settings
from tests.api.test_problems import wav
from tests.clients.live_audio import sound, streamed
from tests.conftest import SAMPLES
from tests.deploy.prometheus import FOLDER, Prometheus, prometheus
from tests.live_server import LiveServer, live_server
from tests.two_versions import eventually

ROOT: Final = Path(__file__).resolve().parents[2]
RUNBOOK: Final = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
DASHBOARD_PATH: Final = ROOT / "deploy" / "grafana" / "dashboards" / "hark.json"
DASHBOARD: Final = json.loads(DASHBOARD_PATH.read_text(encoding="utf-8"))
PROVISIONING: Final = ROOT / "deploy" / "grafana" / "provisioning"
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
RULES: Final = [
    rule
    for path in sorted((FOLDER / "rules").glob("*.yml"))
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
ALERTS: Final = [rule for rule in RULES if "alert" in rule]
RECORDED: Final = [rule for rule in RULES if "record" in rule]
PANELS: Final = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES: Final = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
] + [
    pytest.param(each["expr"], id=each["name"])
    for each in DASHBOARD["annotations"]["list"]
    if "expr" in each
]
# A metric in an alert's expression, with its labels: what is compared with a threshold.
_SELECTOR: Final = re.compile(r"\b(?:hark_\w+|up|job\w*:[\w:]+)\b(?:\{[^}]*\})?")

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="there is no prometheus to watch with"
)
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="there is no promtool to check rules with"
)


# Rules, and the runbook


def test_rules_and_panels_leave_out_what_the_service_takes_for_probes() -> None:
    texts = (*(rule["expr"] for rule in RULES), *(query.values[0] for query in QUERIES))
    patterns = {found for text in texts for found in re.findall(r'route!~"([^"]*)"', str(text))}
    (pattern,) = patterns
    routes = create_app(Settings()).openapi()["paths"]
    left_out = {route for route in routes if re.fullmatch(pattern, route)}
    assert left_out == PROBES


@needs_promtool
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["check", "config", "prometheus.yml"], id="config"),
        pytest.param(["test", "rules", "tests/alerts_test.yml"], id="alerts"),
        pytest.param(["test", "rules", "tests/slow_burn_test.yml"], id="slow burn"),
    ],
)
def test_promtool_is_content(arguments: list[str]) -> None:
    finished = subprocess.run(
        ["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_every_alert_is_tested() -> None:
    tested = {
        each["alertname"]
        for path in (FOLDER / "tests").glob("*.yml")
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
        for each in test.get("alert_rule_test", [])
        if each["exp_alerts"]
    }
    assert tested == {alert["alert"] for alert in ALERTS}


def test_the_runbook_has_an_entry_for_each_alert_and_no_other() -> None:
    assert re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE) == [each["alert"] for each in ALERTS]


@pytest.mark.parametrize("alert", [pytest.param(each, id=each["alert"]) for each in ALERTS])
def test_an_alert_says_what_it_means_and_where_to_read_on(alert: dict[str, Any]) -> None:
    notes = alert["annotations"]
    assert notes["summary"]
    assert notes["description"]
    assert notes["runbook_url"] == f"docs/runbook.md#{alert['alert'].lower()}"
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}


def test_the_runbook_names_settings_that_there_are() -> None:
    named = {name.lower() for name in re.findall(r"\bHARK_([A-Z_]+)", RUNBOOK)}
    assert named
    assert named <= set(Settings.model_fields)


def test_the_runbook_names_metrics_and_panels_that_there_are() -> None:
    metrics = {
        f"{metric.name}_total" if metric.kind == "counter" else metric.name
        for group in GROUPS
        for metric in group.metrics
    }
    named = set(re.findall(r"\bhark_\w+", RUNBOOK))
    assert named
    assert named <= metrics
    panels = set(re.findall(r'"([^"]+\?)"', RUNBOOK))
    assert panels
    assert panels <= {panel["title"] for panel in PANELS}


# The dashboard, as a file


def test_the_dashboard_is_tidy() -> None:
    tidy = json.dumps(DASHBOARD, indent=2, ensure_ascii=False) + "\n"
    assert DASHBOARD_PATH.read_text(encoding="utf-8") == tidy


@pytest.mark.parametrize(
    "panel",
    [pytest.param(each, id=each["title"]) for each in PANELS if each["type"] == "timeseries"],
)
def test_a_legend_tells_lines_apart(panel: dict[str, Any]) -> None:
    legends = [target["legendFormat"] for target in panel["targets"]]
    assert len(set(legends)) == len(legends)
    for target, legend in zip(panel["targets"], legends, strict=True):
        grouped = re.findall(r"\bby \(([^)]*)\)", target["expr"])
        labels = {label.strip() for group in grouped for label in group.split(",")} - {"le"}
        assert set(re.findall(r"{{(\w+)}}", legend)) == labels


def test_panels_use_variables_that_there_are() -> None:
    known = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = {
        name
        for panel in PANELS
        for target in panel["targets"]
        for name in re.findall(r"\$(\w+)", target["expr"])
    }
    assert used == {*known, "__rate_interval"}


def test_latency_is_of_the_same_requests_as_the_alert_and_red_where_it_speaks() -> None:
    [alert] = [each for each in ALERTS if each["alert"] == "HarkSlow"]
    [asked] = re.findall(r"_bucket\{([^}]*)\}", alert["expr"])
    shown = [
        panel
        for panel in PANELS
        if "hark_http_request_duration_seconds_bucket" in panel["targets"][0]["expr"]
    ]
    assert len(shown) == 2
    for panel in shown:
        for target in panel["targets"]:
            assert f'{{instance=~"$instance", {asked}}}' in target["expr"]
        [red] = [
            step["value"]
            for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
            if step["color"] == "red"
        ]
        assert alert["expr"].rstrip().endswith(f"> {red}")


def test_every_panel_asks_the_provisioned_prometheus() -> None:
    [provisioned] = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    source = {"type": provisioned["type"], "uid": provisioned["uid"]}
    assert source == {"type": "prometheus", "uid": "hark-prometheus"}
    for panel in PANELS:
        assert panel["datasource"] == source
        assert all(target["datasource"] == source for target in panel["targets"])
    for variable in DASHBOARD["templating"]["list"]:
        assert variable["datasource"] == source


def test_three_rows_ask_what_people_ask() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Is it healthy?", "What does it hear?", "What does it cost?"]


def test_every_panel_has_a_place_a_title_a_unit_and_an_explanation() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
    taken = set[tuple[int, int]]()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = set(
            product(
                range(place["x"], place["x"] + place["w"]),
                range(place["y"], place["y"] + place["h"]),
            )
        )
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells


def test_the_dashboard_is_found_where_compose_mounts_it() -> None:
    [provider] = yaml.safe_load((PROVISIONING / "dashboards/hark.yml").read_text())["providers"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    mounts = [each.split(":") for each in compose["services"]["grafana"]["volumes"]]
    [folder] = [source for source, target, *_ in mounts if target == provider["options"]["path"]]
    assert (ROOT / folder / "hark.json").exists()


# A service under load, a Prometheus, and what it then knows


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has watched a service under load for some seconds."""
    folder = tmp_path_factory.mktemp("watched")
    settings = {"HARK_WORKERS": "2", "HARK_QUEUE_SIZE": "1", "HARK_DRIFT_CLIPS": "20"}
    with (
        live_server(folder / "hark.log", HARK_ENGINE="onnx", **settings) as hark,
        prometheus(folder, [f"127.0.0.1:{hark.port}"]) as watching,
    ):
        _wait_for(watching, 'up{job="hark"} == 1')
        until = time.monotonic() + 3  # some scrapes before what happens once, and some after it
        _load(hark, until=until)
        _everything_once(hark)
        _load(hark, until=time.monotonic() + 3)
        _wait_for(watching, "sum(increase(hark_worker_restarts_total[1m])) > 0")
        yield watching


def _wait_for(watching: Prometheus, expression: str) -> None:
    heard = eventually(lambda: bool(watching.query(expression)))
    assert heard, f"Prometheus never had {expression}"


def _load(hark: LiveServer, until: float) -> None:
    """Send what people send, and what they should not."""
    with httpx.Client(base_url=hark.url, timeout=30) as client:
        while time.monotonic() < until:
            for name in ("siren.wav", "dog_bark.mp3"):
                content = (SAMPLES / name).read_bytes()
                headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
                client.post("/v1/classify", content=content, headers=headers)
            client.post("/v1/classify", content=b"no sound")
            time.sleep(0.05)


def _everything_once(hark: LiveServer) -> None:
    """Have happen what a healthy service does not see each second."""
    streamed(hark, sound(1.0))
    long = wav(np.random.default_rng(0).uniform(-0.5, 0.5, 8_000 * 300), 8_000, "PCM_U8")
    with ThreadPoolExecutor(8) as clients:  # two are computed, one waits: the others are too many
        answers = clients.map(
            lambda _: httpx.post(f"{hark.url}/v1/classify", content=long, timeout=60), range(8)
        )
        assert {answer.status_code for answer in answers} >= {200, 503}
    killed = min(hark.worker_process_ids())
    subprocess.run(["kill", f"-{signal.SIGKILL.value}", str(killed)], check=True)
    hark.wait_until("/readyz")


def _filled_in(expression: str) -> str:
    """Return a panel's query as Grafana sends it, with everything chosen."""
    for name, value in (("$__rate_interval", "30s"), ("$instance", ".*"), ("$model", ".*")):
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


@needs_prometheus
@pytest.mark.parametrize("expression", QUERIES)
def test_a_panel_has_something_to_show(watched: Prometheus, expression: str) -> None:
    samples = watched.query(_filled_in(expression))
    # A share of nothing is no number: of the model that nobody has asked.
    assert [sample for sample in samples if sample["value"][1] != "NaN"], samples


@needs_prometheus
def test_what_can_be_chosen_is_there(watched: Prometheus) -> None:
    for variable in DASHBOARD["templating"]["list"]:
        asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
        assert asked is not None
        values = watched.get(f"label/{asked[2]}/values", **{"match[]": asked[1]})
        assert values, variable["name"]


@needs_prometheus
def test_prometheus_computes_every_rule(watched: Prometheus) -> None:
    computed = [rule for group in watched.get("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in computed} == {
        rule.get("alert") or rule["record"] for rule in RULES
    }
    for rule in computed:
        assert (rule["health"], rule.get("lastError")) == ("ok", None)


@needs_prometheus
@pytest.mark.parametrize("rule", [pytest.param(each, id=each["record"]) for each in RECORDED])
def test_a_recorded_rule_has_samples(watched: Prometheus, rule: dict[str, Any]) -> None:
    samples = watched.query(rule["record"])
    assert samples
    assert all(sample["value"][1] != "NaN" for sample in samples), samples


@needs_prometheus
@pytest.mark.parametrize("alert", [pytest.param(each, id=each["alert"]) for each in ALERTS])
def test_an_alert_compares_what_is_there(watched: Prometheus, alert: dict[str, Any]) -> None:
    """It need not speak; but what it looks at has to be there, labels and all."""
    selectors = _SELECTOR.findall(alert["expr"])
    assert selectors
    for selector in selectors:
        # What an alert waits for may not have happened; its metric has to be exposed all the same.
        waits = re.fullmatch(r"(hark_\w+) == 0", alert["expr"])
        assert watched.query(waits[1] if waits else selector), selector


@needs_prometheus
def test_a_traced_request_is_an_exemplar(watched: Prometheus) -> None:
    found = watched.get(
        "query_exemplars",
        query="hark_http_request_duration_seconds_bucket",
        start=time.time() - 120,
        end=time.time(),
    )
    traces = {each["labels"]["trace_id"] for series in found for each in series["exemplars"]}
    assert traces == {TRACE}
