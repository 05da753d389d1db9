# Two stages from one Python: the first has what installs, the second only what serves.
# tests/image builds and starts this on a machine without any container engine, hence nothing here needs BuildKit.
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# The locks first: as long as they stay, this layer does.
COPY requirements-build.lock requirements-image.lock ./
RUN python3 -m venv /opt/build \
  && python3 -m venv --without-pip /opt/venv \
  && /opt/build/bin/pip install --quiet --require-hashes -r requirements-build.lock \
  && /opt/build/bin/pip --python /opt/venv/bin/python install --quiet --require-hashes -r requirements-image.lock
COPY pyproject.toml README.md ./
COPY protos protos
COPY clients clients
COPY service service
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir wheels ./protos . \
  && /opt/build/bin/pip --python /opt/venv/bin/python install --quiet --no-deps --no-index wheels/*.whl

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/venv /opt/venv
# Logs are lines of JSON on standard output, to be seen as they are written.
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Where a config may keep the database and the checkpoints; a volume of the deployment's lies over it.
RUN install -d -m 0700 -o 10001 -g 10001 /var/lib/cohort
# By number, for orchestrators that verify that it is not root; nobody needs a name or a home.
USER 10001:10001
WORKDIR /
EXPOSE 50051 9464
# Health is asked over gRPC (grpc.health.v1) by the orchestrator, hence no HEALTHCHECK.
# The config is mounted at /etc/cohort/cohort.toml, or wherever COHORT_CONFIG says.
ENTRYPOINT ["/opt/venv/bin/cohort"]
CMD ["serve"]
