"""A FastAPI service as tutorials write it: everything inside an `async def`.

uvicorn benchmarks.services.tutorial:app
"""

from typing import Annotated

from fastapi import FastAPI, File, UploadFile

from benchmarks.services.plain_classifier import PlainClassifier

app = FastAPI()
classifier = PlainClassifier()


@app.post("/predict")
async def predict(file: Annotated[UploadFile, File()]) -> dict[str, float]:
    """Say what a sound is."""
    return classifier.predict(await file.read())
