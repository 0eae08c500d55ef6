"""The restricted Pod Security Standard, as far as a manifest of Linux pods can break it.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards, the tables of Baseline
and of Restricted.
"""

from collections.abc import Iterator
from typing import Any, Final

from tests.kubernetes.rendering import containers_of

VOLUMES: Final = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image"),
    *("persistentVolumeClaim", "projected", "secret"),
}
PROFILES: Final = ("RuntimeDefault", "Localhost")


def violations(pod: dict[str, Any]) -> Iterator[str]:
    """Yield what a pod's specification breaks of the standard."""
    of_pod = pod.get("securityContext", {})
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            yield name
    for volume in pod.get("volumes", []):
        (kind,) = set(volume) - {"name"}
        if kind not in VOLUMES:
            yield f"volume {kind}"
    for setting in ("sysctls", "windowsOptions", "seLinuxOptions", "appArmorProfile"):
        if setting in of_pod:
            yield setting  # some are allowed; Hark needs none
    if of_pod.get("runAsUser") == 0:
        yield "runAsUser"
    for container in containers_of(pod):
        yield from of_container(container, of_pod)


def of_container(container: dict[str, Any], of_pod: dict[str, Any]) -> Iterator[str]:
    """Yield what a container breaks, which has the pod's settings where it has none of its own."""
    own = container.get("securityContext", {})
    both = {**of_pod, **own}
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if "ALL" not in own.get("capabilities", {}).get("drop", []):
        yield "capabilities.drop"
    if set(own.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "capabilities.add"
    if both.get("runAsNonRoot") is not True:
        yield "runAsNonRoot"
    if both.get("runAsUser") == 0:
        yield "runAsUser"
    if both.get("seccompProfile", {}).get("type") not in PROFILES:
        yield "seccompProfile"
    if both.get("procMount", "Default") != "Default":
        yield "procMount"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "hostPort"
    probes = (
        container.get(name, {}) for name in ("startupProbe", "livenessProbe", "readinessProbe")
    )
    hooks = container.get("lifecycle", {}).values()
    if any("host" in each.get("httpGet", {}) for each in (*probes, *hooks)):
        yield "host of a probe"
