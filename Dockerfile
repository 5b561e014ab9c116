# The image of every step: the core dependencies, compiled, and nothing else. No kfp, no embedded cloud's dependencies.
# `docker build --target hydrosphere .` makes one that has hydrosdk too, for --backend hydrosdk.
#
# The base is named by its tag. To pin it for a release, replace the tag in both places by the digest that
# `docker buildx imagetools inspect python:3.13-slim` prints: python@sha256:…
#
# tests/contract/test_dockerfile.py reads this file and runs the build stages' steps without an engine;
# docs/decisions/0003-image.md says what that leaves unproven.

FROM python:3.13-slim AS source
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY runner runner
COPY components components

FROM source AS build
RUN python -m pip install --no-cache-dir --no-compile --constraint constraints.txt --target /app .
# Hashes in place of time stamps: builders that rewrite times leave this bytecode valid.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /app

FROM source AS build-hydrosphere
RUN python -m pip install --no-cache-dir --no-compile --constraint constraints.txt --target /app '.[hydrosphere-pip]'
# Without the releases that they ask for, which are too old for this Python.
RUN python -m pip install --no-cache-dir --no-compile --constraint constraints.txt --target /app --no-deps \
      hydrosdk hydro-serving-grpc docker-image-py
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /app

FROM python:3.13-slim AS base
LABEL org.opencontainers.image.title="kfp-runner" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN python -m pip uninstall --yes --root-user-action=ignore pip
ENV PATH=/app/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp
ENTRYPOINT ["python", "-m", "runner"]

FROM base AS hydrosphere
COPY --from=build-hydrosphere /app /app
# A number, so that Kubernetes can see for itself that it isn't root.
USER 65532:65532

# The last one is what a build makes that names no target.
FROM base
COPY --from=build /app /app
USER 65532:65532
