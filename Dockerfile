# One image for every role; compose.yaml says which command each container runs.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/triggerhub
COPY requirements.lock .
# Dependencies first: this layer is built again only when the lock changes.
RUN /opt/triggerhub/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN /opt/triggerhub/bin/pip install --no-cache-dir --no-index --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/triggerhub --create-home triggerhub
COPY --from=build /opt/triggerhub /opt/triggerhub
ENV PATH=/opt/triggerhub/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TRIGGERHUB_DATA_DIR=/var/lib/triggerhub/data \
    TRIGGERHUB_HOST=0.0.0.0
USER triggerhub
WORKDIR /var/lib/triggerhub
EXPOSE 8000
ENTRYPOINT ["triggerhub"]
CMD ["--help"]
