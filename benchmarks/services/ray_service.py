"""The same model in Ray Serve.

python -m benchmarks.services.ray_service PORT WORKERS
"""

import sys
import time
from typing import Annotated

from fastapi import FastAPI, File, UploadFile
from ray import serve
from ray.serve.config import HTTPOptions

from benchmarks.services.plain_classifier import PlainClassifier

app = FastAPI()


@serve.deployment(num_replicas=int(sys.argv[2]), ray_actor_options={"num_cpus": 1})
@serve.ingress(app)
class SoundService:
    """Classifies the part `file` of a multipart request."""

    def __init__(self) -> None:
        self._classifier = PlainClassifier()

    @app.post("/predict")
    async def predict(self, file: Annotated[UploadFile, File()]) -> dict[str, float]:
        """Say what a sound is."""
        return self._classifier.classify(await file.read())


if __name__ == "__main__":
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=int(sys.argv[1])))
    serve.run(SoundService.bind())  # type: ignore[attr-defined]
    while True:
        time.sleep(3600)
