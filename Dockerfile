# The gateway alone: no compilers, no test tools, no shell started, not root.
# Everything that is installed is pinned by hash (deploy/*.lock, taken from requirements.lock).

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY deploy/build.lock deploy/requirements.lock ./
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --only-binary :all: -r build.lock \
    && python -m venv /opt/bailiwick \
    && /opt/bailiwick/bin/pip install --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY rego rego
COPY addons addons
RUN /opt/build/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/bailiwick/bin/pip install --no-deps --no-index /wheels/*.whl \
    && /opt/bailiwick/bin/pip uninstall --yes pip

FROM python:3.11-slim
RUN groupadd --gid 10002 bailiwick \
    && useradd --uid 10002 --gid 10002 --no-create-home --shell /usr/sbin/nologin bailiwick \
    && install -d -o bailiwick -g bailiwick -m 0700 /var/lib/bailiwick /var/lib/bailiwick-keys
COPY --from=build /opt/bailiwick /opt/bailiwick
ENV PATH=/opt/bailiwick/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    BAILIWICK_SETTINGS=/etc/bailiwick/bailiwick.toml
USER 10002:10002
EXPOSE 8080
ENTRYPOINT ["bailiwick"]
CMD ["serve"]
