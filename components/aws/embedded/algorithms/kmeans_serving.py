"""The local k-means image as a server: what runs for the image of `kmeans` with the argument `serve`.

It loads `model/model_algo-1`, the centers that training left, and answers by the inference container contract:
GET /ping, GET /execution-parameters (for batch transform), POST /invocations. Requests and answers are the built-in's
(SageMaker developer guide, "Common Data Formats for Inference" and "K-Means Response Formats"): CSV, JSON and JSON
Lines in; JSON (the default), JSON Lines and CSV out. Protobuf RecordIO is not known here. NumPy only, so that it starts
at once; it listens on loopback only, on the port of SAGEMAKER_BIND_TO_PORT.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
HOST = "127.0.0.1"
LONGEST_BODY = 100 * 1024**2
"""Bytes of a request: batch transform's limit."""
_ANSWERS = ("application/json", "application/jsonlines", "text/csv")


class BadRequestError(Exception):
    """What is wrong with a request; the answer has status 400."""


class UnsupportedError(Exception):
    """A format that is not known here; the answer has status 415."""


def read_centers(path: Path) -> Matrix:
    """The centers that training left (k × feature_dim). Raises ValueError or OSError if that is no model."""
    with path.open("rb") as file:
        centers = np.load(file, allow_pickle=False)
    if not isinstance(centers, np.ndarray) or centers.ndim != 2 or not centers.size:
        raise ValueError(f"{path.name} is no matrix of centers")
    return np.asarray(centers, dtype=np.float64)


def read_rows(body: bytes, content_type: str, width: int) -> Matrix:
    """The records of a request (n × width). Raises `BadRequestError` or `UnsupportedError`."""
    kind, *options = [part.strip().lower() for part in content_type.split(";")]
    try:
        text = body.decode()
        if kind == "text/csv":
            rows = list(_csv(text, _label_size(options)))
        elif kind == "application/json":
            rows = _json(json.loads(text))
        elif kind in ("application/jsonlines", "application/jsonl"):
            rows = [_features(json.loads(line)) for line in text.split("\n") if line.strip()]
        else:
            raise UnsupportedError(
                f"Content-type {content_type!r} is not supported by the local k-means;"
                " there are: text/csv, application/json, application/jsonlines"
            )
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"unable to evaluate payload provided: {error}") from error
    if not rows:
        raise BadRequestError("unable to evaluate payload provided: it holds no record")
    for number, row in enumerate(rows, 1):
        if len(row) != width:
            raise BadRequestError(
                f"unable to evaluate payload provided: record {number} has {len(row)} features,"
                f" the model was trained with {width}"
            )
    matrix = np.array(rows, dtype=np.float64)
    if not np.isfinite(matrix).all():
        raise BadRequestError(
            "unable to evaluate payload provided: it holds values that are no finite numbers"
        )
    return matrix


def _label_size(options: list[str]) -> int:
    """At inference the built-ins take 0 for granted."""
    for option in options:
        name, _, value = option.replace(" ", "").partition("=")
        if name == "label_size":
            if value not in ("0", "1"):
                raise ValueError(f"label_size={value}: only 0 or 1 can be given")
            return int(value)
    return 0


def _csv(text: str, labels: int) -> Iterator[list[float]]:
    # Not splitlines(), which knows line ends that CSV and JSON Lines do not.
    for line in text.split("\n"):
        if line.strip():
            yield [float(field) for field in line.split(",")][labels:]


def _json(content: Any) -> list[list[float]]:
    instances = content.get("instances") if isinstance(content, dict) else None
    if not isinstance(instances, list):
        raise ValueError('{"instances": [{"features": […]}, …]} is needed')  # noqa: TRY004  a matter of content
    return [_features(instance) for instance in instances]


def _features(instance: Any) -> list[float]:
    """One record: `{"features": […]}` or `{"data": {"features": {"values": […]}}}`."""
    found = instance
    for name in ("data", "features", "values"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    numbers = isinstance(found, list) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in found
    )
    if not numbers or found is instance:
        raise ValueError(f'{json.dumps(instance)[:80]} is no {{"features": [numbers]}}')
    return [float(value) for value in found]


def predict(rows: Matrix, centers: Matrix) -> list[dict[str, float]]:
    """For every record the number of its nearest center, and the Euclidean distance to it."""
    square = (rows**2).sum(1)[:, None] - 2 * rows @ centers.T + (centers**2).sum(1)[None, :]
    nearest = square.argmin(axis=1)
    # Anew, by differences: the formula above loses the digits of small distances.
    distances = np.linalg.norm(rows - centers[nearest], axis=1)
    return [
        {"distance_to_cluster": float(distance), "closest_cluster": float(cluster)}
        for distance, cluster in zip(distances, nearest, strict=True)
    ]


def answer_type(accept: str) -> str:
    """The format to answer in. Raises `UnsupportedError`."""
    wanted = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    for kind in wanted:
        if kind in ("", "*/*", "application/*"):
            return _ANSWERS[0]
        if kind in _ANSWERS:
            return kind
    raise UnsupportedError(
        f"Accept {accept!r} is not supported by the local k-means; there are: {', '.join(_ANSWERS)}"
    )


def written(predictions: list[dict[str, float]], kind: str) -> str:
    """The answer's body."""
    if kind == "application/json":
        return json.dumps({"predictions": predictions})
    if kind == "application/jsonlines":
        return "".join(f"{json.dumps(row)}\n" for row in predictions)
    return "".join(f"{row['closest_cluster']},{row['distance_to_cluster']}\n" for row in predictions)


class Handler(BaseHTTPRequestHandler):
    """Answers requests with the server's centers."""

    protocol_version = "HTTP/1.1"
    # An answer in one piece: in two, the second waits for the client's acknowledgement of the first.
    wbufsize = -1
    server: Server

    def do_GET(self) -> None:
        """`/ping` and `/execution-parameters`."""
        if self.path == "/ping":
            self._send(200, "")
        elif self.path == "/execution-parameters":
            parameters = {
                "MaxConcurrentTransforms": os.cpu_count() or 1,
                "BatchStrategy": "MultiRecord",
                "MaxPayloadInMB": 6,
            }
            self._send(200, json.dumps(parameters), "application/json")
        else:
            self._send(404, f"there is no {self.path}\n")

    def do_POST(self) -> None:
        """`/invocations`."""
        if self.path != "/invocations":
            self.close_connection = True
            self._send(404, f"there is no {self.path}\n")
            return
        try:
            body = self._body()
            kind = answer_type(self.headers.get("Accept", ""))
            rows = read_rows(body, self.headers.get("Content-Type", "text/csv"), self.server.centers.shape[1])
        except BadRequestError as error:
            self._refuse(400, str(error))
        except UnsupportedError as error:
            self._refuse(415, str(error))
        else:
            self._send(200, written(predict(rows, self.server.centers), kind), kind)

    def _body(self) -> bytes:
        size = self.headers.get("Content-Length", "")
        if not (size.isascii() and size.isdecimal()) or int(size) > LONGEST_BODY:
            self.close_connection = True
            raise BadRequestError(f"a Content-Length of at most {LONGEST_BODY} is needed, not {size!r}")
        return self.rfile.read(int(size))

    def _refuse(self, status: int, reason: str) -> None:
        print(f"Customer Error: {reason}", flush=True)
        self._send(status, reason)

    def _send(self, status: int, text: str, kind: str = "text/plain") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not a line for every ping."""


class Server(ThreadingHTTPServer):
    """Listens on loopback from its making on. Raises OSError when the port is taken."""

    daemon_threads = True
    # The cloud reaches the port alone; a second server must not share it.
    allow_reuse_port = False

    def __init__(self, port: int, centers: Matrix) -> None:
        super().__init__((HOST, port), Handler)
        self.centers = centers


def main() -> int:
    """`serve` as a container does it: until a signal ends it; 1 if it can't begin."""
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    try:
        centers = read_centers(base / "model" / "model_algo-1")
    except (OSError, ValueError, EOFError) as error:
        print(f"Customer Error: no k-means model could be loaded: {error}", flush=True)
        return 1
    with Server(port, centers) as server:
        k, width = centers.shape
        print(f"local k-means (NumPy): serving {k} centers of {width} features on {HOST}:{port}", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
