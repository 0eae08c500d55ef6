"""The same model in LitServe.

python -m benchmarks.services.litserve_service PORT WORKERS
"""

import sys
from typing import Any

import litserve
from fastapi import Request

from benchmarks.services.plain_classifier import PlainClassifier


class SoundApi(litserve.LitAPI):  # type: ignore[misc]  # ships no types
    """Classifies the part `file` of a multipart request."""

    def setup(self, device: str) -> None:
        self._classifier = PlainClassifier()

    def decode_request(self, request: Request) -> bytes:
        form: Any = request  # LitServe hands over the form of a multipart request
        content: bytes = form["file"].file.read()
        return content

    def predict(self, data: bytes) -> dict[str, float]:
        return self._classifier.classify(data)

    def encode_response(self, output: dict[str, float]) -> dict[str, float]:
        return output


if __name__ == "__main__":
    server = litserve.LitServer(
        SoundApi(), accelerator="cpu", workers_per_device=int(sys.argv[2]), timeout=120
    )
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
