# Hark's images. `make image` builds the default one; TARGET=slim or TARGET=train another.
#
#   serve   the service on TensorFlow's CPU build: what `docker build .` makes
#   slim    the service on ONNX Runtime: no TensorFlow, no librosa, no PyAV; at most 300 MB on top of the base
#   train   hark-train, and all that its recipes need
#
# Each is an environment that a stage of its own installs, copied onto a clean base: no compiler, no build
# tool, no cache, nor packages' own tests and TensorFlow's C++ headers, which are a fifth of them. They run
# as a user without a name, on a read-only root file system with a writable /tmp.
ARG PYTHON_IMAGE=python:3.12-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# An environment without pip, which the base's pip installs into: what serves installs nothing.
RUN python -m venv --without-pip /opt/hark

FROM build AS wheel
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY training training
RUN python -m pip wheel --quiet --no-deps --wheel-dir /wheels .

# What all images have: where things are, and who runs them.
FROM ${PYTHON_IMAGE} AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Hark" \
      org.opencontainers.image.description="A REST microservice that says what a sound is." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# /tmp is what may be written to, so caches of libraries go there.
ENV PATH=/opt/hark/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/tmp/numba \
    MPLCONFIGDIR=/tmp/matplotlib \
    HARK_MODEL_STORE=/models
# Owned by who runs, so that a volume that begins as a copy of it can be written to by training.
COPY --chown=10001:10001 model_store /models
VOLUME /models
# By number: Kubernetes refuses to believe that a name is not root.
USER 10001:10001
WORKDIR /tmp

FROM build AS build-slim
COPY requirements-onnx.lock ./
RUN python -m pip --python /opt/hark/bin/python install --quiet --requirement requirements-onnx.lock \
    && find /opt/hark -depth \( -type d -name tests -o -name '*.pyi' -o -name '*.pyx' -o -name '*.h' \) \
        -exec rm -rf {} + \
    # What ONNX Runtime brings to make models with; to run them, it imports none of it.
    && cd /opt/hark/lib/python3*/site-packages/onnxruntime && rm -rf transformers quantization tools
COPY --from=wheel /wheels /wheels
COPY samples samples
RUN python -m pip --python /opt/hark/bin/python install --quiet --no-deps /wheels/*.whl \
    && cp -r samples "$(/opt/hark/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

FROM build AS build-serve
COPY requirements.lock ./
RUN python -m pip --python /opt/hark/bin/python install --quiet --requirement requirements.lock \
    && find /opt/hark -depth -type d \( -name tests -o -path '*/tensorflow/include' \) -exec rm -rf {} +
COPY --from=wheel /wheels /wheels
COPY samples samples
RUN python -m pip --python /opt/hark/bin/python install --quiet --no-deps /wheels/*.whl \
    && cp -r samples "$(/opt/hark/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

FROM build AS build-train
COPY requirements-train.lock ./
RUN python -m pip --python /opt/hark/bin/python install --quiet --requirement requirements-train.lock \
    && find /opt/hark -depth -type d \( -name tests -o -path '*/tensorflow/include' \) -exec rm -rf {} +
COPY --from=wheel /wheels /wheels
RUN python -m pip --python /opt/hark/bin/python install --quiet --no-deps /wheels/*.whl

FROM runtime AS train
COPY --from=build-train /opt/hark /opt/hark
# Where runs, reports and computed features are kept: they are to survive their container.
USER 0
RUN install --directory --owner=10001 --group=10001 /work
USER 10001:10001
ENV XDG_CACHE_HOME=/work/cache
VOLUME /work
WORKDIR /work
ENTRYPOINT ["hark-train"]
CMD ["--help"]

FROM runtime AS slim
COPY --from=build-slim /opt/hark /opt/hark
ENV HARK_ENGINE=onnx
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["hark", "serve", "--host", "0.0.0.0", "--port", "8000"]

FROM runtime AS serve
COPY --from=build-serve /opt/hark /opt/hark
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["hark", "serve", "--host", "0.0.0.0", "--port", "8000"]
