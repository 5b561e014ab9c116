# The image of every step: the core dependencies, compiled, and nothing else. No kfp, no embedded cloud's dependencies.
#
# The base is named by its tag. To pin it for a release, replace the tag in both stages by the digest that
# `docker buildx imagetools inspect python:3.13-slim` prints: python@sha256:…
#
# tests/contract/test_dockerfile.py reads this file and runs the build stage's steps without an engine;
# docs/decisions/0003-image.md says what that leaves unproven.

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY runner runner
COPY components components
RUN python -m pip install --no-cache-dir --no-compile --constraint constraints.txt --target /app .
# Hashes in place of time stamps: builders that rewrite times leave this bytecode valid.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /app

FROM python:3.13-slim
LABEL org.opencontainers.image.title="kfp-runner" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN python -m pip uninstall --yes --root-user-action=ignore pip
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# A number, so that Kubernetes can see for itself that it isn't root.
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["python", "-m", "runner"]
