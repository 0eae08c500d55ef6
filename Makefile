# The same commands locally and in CI. `make` alone starts the service.

# The newest Python that runs here and that Hark runs on; override with `make PYTHON=...`.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3 python; do \
	$$name -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	2>/dev/null && echo $$name && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
ENGINE ?= keras
STAMP_keras := $(VENV)/serve.stamp
STAMP_onnx := $(VENV)-onnx/serve.stamp
HOST ?= 127.0.0.1
PORT ?= 8000
PIP_INSTALL := python -m pip --disable-pip-version-check --quiet install

.PHONY: serve dev test test-image test-slow coverage bench image lint format lock samples fuzz chaos screenshots clean

# Start the service, with the models in model_store/. ENGINE=onnx is its light twin.
serve: $(STAMP_$(ENGINE))
	exec $(dir $(STAMP_$(ENGINE)))bin/hark serve --engine $(ENGINE) --host $(HOST) --port $(PORT)

# Install all that training and the tests need, into .venv.
dev: $(VENV)/dev.stamp

# Run every test but the slow ones: side by side, and then those that want the machine for themselves.
TEST_PROCESSES ?= 2
test: $(VENV)/dev.stamp $(STAMP_onnx)
	$(BIN)/python -m pytest -m "not alone and not slow and not image" --numprocesses $(TEST_PROCESSES) \
		--dist loadfile --durations 30
	$(BIN)/python -m pytest -m "alone and not slow"

# Build the images, start them and classify in them; HARK_BASE_IMAGE is the base that they stand on.
HARK_BASE_IMAGE ?= python:3.12-slim
test-image: $(VENV)/dev.stamp
	HARK_BASE_IMAGE=$(HARK_BASE_IMAGE) $(BIN)/python -m pytest tests/deploy/test_image.py -m image --timeout 900

# What takes long: real training on the data in HARK_TEST_DATA, runs that are ended again and again,
# many more requests of the kind that the OpenAPI document allows, a little benchmark.
test-slow: $(VENV)/dev.stamp $(STAMP_onnx)
	$(BIN)/python -m pytest -m slow --timeout 3600
	HARK_SCHEMA_EXAMPLES=30 $(BIN)/python -m pytest tests/contract/test_schema.py --timeout 3600

# Which lines of app and training the tests of `make test` run; fails below 90 %. What is measured by
# the clock in them may fail, since it is slower: that is for `make test` to say.
coverage: $(VENV)/dev.stamp $(STAMP_onnx)
	rm -rf build/coverage
	mkdir -p build/coverage
	-$(BIN)/coverage run -m pytest -m "not slow and not image" --numprocesses $(TEST_PROCESSES) --dist loadfile --durations 30
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# Measure Hark beside other services, on a machine that does nothing else: some 15 minutes.
bench: $(VENV)/dev.stamp $(VENV)-keras/serve.stamp $(STAMP_onnx)
	$(MAKE) $(VENV)-peers/peers.stamp || echo "The other model servers cannot be installed here; they are skipped." >&2
	$(BIN)/python -m benchmarks.bench $(BENCH_OPTIONS)

# Build an image with what is here to build it: docker, podman or buildah. TARGET is serve, slim or train;
# PYTHON_IMAGE is the base that it stands on.
TARGET ?= serve
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGE ?= hark:$(VERSION)$(if $(filter-out serve,$(TARGET)),-$(TARGET))
image:
	deploy/image/build --target $(TARGET) --tag $(IMAGE) --build-arg VERSION=$(VERSION) \
		--build-arg REVISION=$$(git rev-parse --short HEAD 2>/dev/null || echo unknown) \
		$(if $(PYTHON_IMAGE),--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE)) .

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	.ci/audit $(BIN)/pip-audit requirements.lock requirements-onnx.lock requirements-train.lock

format: $(VENV)/dev.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Make samples/ anew.
samples: $(VENV)/serve.stamp
	$(BIN)/python samples/make_samples.py

# Arbitrary bytes into what strangers' bytes reach: RUNS of them, for FUZZ_SECONDS at the most, for
# each target. Findings are saved in build/fuzz; FUZZ_OPTIONS=--write keeps the figures.
RUNS ?= 100000
FUZZ_SECONDS ?= 1800
fuzz: $(VENV)-fuzz/fuzz.stamp
	$(VENV)-fuzz/bin/python -m tests.fuzz.run --runs $(RUNS) --seconds $(FUZZ_SECONDS) $(FUZZ_OPTIONS)

# Five minutes of twice the load that can be served, while parts are broken on purpose, on a machine
# that does nothing else; CHAOS_OPTIONS=--write keeps the figures.
chaos: $(VENV)/dev.stamp
	$(BIN)/python -m tests.chaos.run $(CHAOS_OPTIONS)

# Take the README's pictures of the page anew, with the system's Chromium.
screenshots: $(VENV)/dev.stamp
	$(BIN)/python -m tests.web.screenshots

# Resolve the dependencies of pyproject.toml anew, for every supported Python.
lock: $(VENV)/dev.stamp
	$(BIN)/$(PIP_INSTALL) uv
	$(BIN)/uv pip compile $(LOCK_OPTIONS) --extra dev --output-file requirements-dev.lock pyproject.toml
	$(BIN)/uv pip compile $(LOCK_OPTIONS) --constraint requirements-dev.lock --extra keras --extra av \
		--output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile $(LOCK_OPTIONS) --constraint requirements-dev.lock --extra onnx \
		--output-file requirements-onnx.lock pyproject.toml
	$(BIN)/uv pip compile $(LOCK_OPTIONS) --constraint requirements-dev.lock --extra train --extra av \
		--output-file requirements-train.lock pyproject.toml
	$(BIN)/uv pip compile $(LOCK_OPTIONS) --constraint requirements-dev.lock --extra fuzz \
		--output-file requirements-fuzz.lock pyproject.toml
LOCK_OPTIONS := --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links

clean:
	rm -rf $(VENV) $(VENV)-onnx $(VENV)-keras $(VENV)-peers $(VENV)-fuzz

# $(call make_environment,FOLDER): a virtual environment, of a Python that Hark runs on.
define make_environment
	@test -n "$(PYTHON)" || { echo "Hark needs Python 3.11, 3.12 or 3.13; found none." >&2; exit 1; }
	$(PYTHON) -m venv $(1)
endef

# $(call install_hark,FOLDER,LOCK): what a lock pins, and Hark itself.
define install_hark
	@echo "Installing Hark into $(1); the first time takes a minute or two."
	$(1)/bin/$(PIP_INSTALL) --requirement $(2)
	$(1)/bin/$(PIP_INSTALL) --no-deps --editable .
endef

$(VENV)/venv.stamp:
	$(call make_environment,$(VENV))
	touch $@

$(VENV)/serve.stamp: $(VENV)/venv.stamp requirements.lock pyproject.toml
	$(call install_hark,$(VENV),requirements.lock)
	touch $@

$(VENV)/dev.stamp: $(VENV)/serve.stamp requirements-dev.lock
	$(BIN)/$(PIP_INSTALL) --requirement requirements-dev.lock
	touch $@

# The light twin: ONNX Runtime and no TensorFlow.
$(STAMP_onnx): requirements-onnx.lock pyproject.toml
	$(call make_environment,$(VENV)-onnx)
	$(call install_hark,$(VENV)-onnx,requirements-onnx.lock)
	touch $@

# For the benchmark: what `make serve` installs and no more, and the services that Hark is compared with.
$(VENV)-keras/serve.stamp: requirements.lock pyproject.toml
	$(call make_environment,$(VENV)-keras)
	$(call install_hark,$(VENV)-keras,requirements.lock)
	touch $@

$(VENV)-peers/peers.stamp: benchmarks/requirements-peers.lock
	$(call make_environment,$(VENV)-peers)
	$(VENV)-peers/bin/$(PIP_INSTALL) --requirement benchmarks/requirements-peers.lock
	touch $@

# For the fuzzer: the development environment, and Atheris.
$(VENV)-fuzz/fuzz.stamp: requirements-fuzz.lock pyproject.toml
	$(call make_environment,$(VENV)-fuzz)
	$(call install_hark,$(VENV)-fuzz,requirements-fuzz.lock)
	touch $@
