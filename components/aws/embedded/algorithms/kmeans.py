"""A local k-means image: what runs for `<account>.dkr.ecr.<region>.amazonaws.com/kmeans:1` (SageMaker's built-in).

It follows the training container contract below SAGEMAKER_BASE_DIR and the built-in's documented method: passes of
mini-batches over the data with more centers than asked for (`extra_center_factor`), then Lloyd's algorithm on these
weighted centers to get `k`. scikit-learn does both. Log and metric lines look like the built-in's; beyond it, each
epoch reports its msd. Data: CSV without a header. `text/csv` has the label in the first column, as the developer guide
says; `text/csv;label_size=0` has none; with no content type the number of columns decides.

The model, `model/model_algo-1`, holds the k centers as a NumPy array (.npy format, float64, k × feature_dim). The real
image writes an MXNet file. With several instances each trains on what it received, and algo-1's model is the result.
With the argument `serve` it answers requests with that model instead: see `kmeans_serving`.
"""

from __future__ import annotations

import os

# Before NumPy loads: many jobs may run at once on one machine, and the data is small.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.aws.embedded.algorithms.hyperparameters import (
    CustomerError,
    Parameters,
    ignored,
    parse,
)

Matrix = NDArray[np.float64]
SEED = 0
"""Every run of the same job gives the same model."""
EXTRA = 10
"""extra_center_factor for `auto`."""
TRIALS = 10
"""local_lloyd_num_trials for `auto`."""


@dataclass(slots=True)
class Stop:
    """Turns true on SIGTERM."""

    requested: bool = False

    def install(self) -> None:
        """Take SIGTERM from now on."""
        signal.signal(signal.SIGTERM, self._set)

    def _set(self, *_: object) -> None:
        self.requested = True


@dataclass(slots=True)
class Place:
    """The container's folders."""

    base: Path
    host: str = "algo-1"
    hosts: list[str] = field(default_factory=list)

    @classmethod
    def here(cls) -> Place:
        """As the environment says."""
        base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
        resources = json.loads((base / "input/config/resourceconfig.json").read_text())
        return cls(base, resources["current_host"], resources["hosts"])

    def config(self, name: str) -> dict[str, Any]:
        """One of the configuration files; empty if it is not there."""
        path = self.base / "input" / "config" / f"{name}.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}


def say(text: str) -> None:
    """One log line, at once."""
    print(f"[{time.strftime('%m/%d/%Y %H:%M:%S')} INFO] {text}", flush=True)


def load(place: Place, channel: str, width: int) -> Matrix | None:
    """The rows of a channel without labels; None if there is no such channel. Raises `CustomerError`."""
    description = place.config("inputdataconfig").get(channel)
    if description is None:
        return None
    folder = place.base / "input" / "data" / channel
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    if not files:
        raise CustomerError(f"No data was found in channel '{channel}'.")
    given = _given_labels(description.get("ContentType", ""))
    rows = np.concatenate([_read(path) for path in files])
    labels = given if given is not None else int(rows.shape[1] == width + 1)
    if rows.shape[1] != width + labels:
        raise CustomerError(
            f"Channel '{channel}': feature_dim is {width}, but the data has {rows.shape[1]} columns"
            f" of which {labels} are labels (text/csv has one unless it says label_size=0)."
        )
    return rows[:, labels:]


def _given_labels(content_type: str) -> int | None:
    """How many label columns there are; None where nothing says so. Raises `CustomerError`."""
    kind, _, options = content_type.replace(" ", "").partition(";")
    if not kind:
        return None
    if kind != "text/csv":
        raise CustomerError(f"Content type '{content_type}' is not supported by the local k-means.")
    if options not in ("", "label_size=0", "label_size=1"):
        raise CustomerError(f"Content type '{content_type}': only label_size=0 or 1 can be given.")
    return int(options[-1:] or 1)


def _read(path: Path) -> Matrix:
    try:
        rows = np.loadtxt(path, delimiter=",", ndmin=2, dtype=np.float64)
    except ValueError as error:
        raise CustomerError(f"{path.name} is no CSV of numbers: {error}") from error
    if not np.isfinite(rows).all():
        raise CustomerError(f"{path.name} holds values that are no finite numbers.")
    return rows


class Trainer:
    """Streams mini-batches; can say the k centers so far at any time."""

    def __init__(self, parameters: Parameters, rows: Matrix) -> None:
        # Takes a second to import: a job with a mistake in it fails before.
        from sklearn.cluster import KMeans, MiniBatchKMeans

        self._parameters = parameters
        self._rows = rows
        self._lloyd = KMeans
        if len(rows) < parameters.k:
            raise CustomerError(f"{len(rows)} records are too few for k={parameters.k} clusters.")
        # A record left over would be too small a batch to begin with.
        batch = max(parameters.mini_batch_size, parameters.k)
        self._first = min(batch, len(rows))
        wanted = parameters.k * (parameters.extra_center_factor or EXTRA)
        self._stream = MiniBatchKMeans(
            n_clusters=max(parameters.k, min(wanted, self._first)),
            init=_sklearn_name(parameters.init_method),
            batch_size=batch,
            n_init=1,
            random_state=SEED,
        )
        self._order = np.random.default_rng(SEED)

    def epoch(self, stop: Stop) -> int:
        """One pass over the data, or less if stopped; returns how many records it saw."""
        order = self._order.permutation(len(self._rows))
        seen = 0
        for begin in range(0, len(order), self._first):
            if stop.requested and hasattr(self._stream, "cluster_centers_"):
                break
            batch = self._rows[order[begin : begin + self._first]]
            self._stream.partial_fit(batch)
            seen += len(batch)
        return seen

    def centers(self) -> Matrix:
        """Lloyd's algorithm on the streamed centers, weighted by how many records each stands for."""
        points = self._stream.cluster_centers_
        weights = np.bincount(self._stream.predict(self._rows), minlength=len(points))
        kept = weights > 0
        # Fewer occupied centers than k: the empty ones are as good as any.
        if kept.sum() < self._parameters.k:
            kept[:] = True
            weights = weights + 1
        lloyd = self._lloyd(
            n_clusters=self._parameters.k,
            init=_sklearn_name(self._parameters.local_lloyd_init_method),
            n_init=self._parameters.local_lloyd_num_trials or TRIALS,
            max_iter=self._parameters.local_lloyd_max_iter,
            tol=self._parameters.local_lloyd_tol,
            random_state=SEED,
        )
        lloyd.fit(points[kept], sample_weight=weights[kept])
        return np.asarray(lloyd.cluster_centers_, dtype=np.float64)


def _sklearn_name(method: str) -> Any:
    return "k-means++" if method == "kmeans++" else method


def squared_distances(rows: Matrix, centers: Matrix) -> Matrix:
    """Each row's squared distance to its nearest center."""
    square = (rows**2).sum(1)[:, None] - 2 * rows @ centers.T + (centers**2).sum(1)[None, :]
    nearest: Matrix = np.maximum(square.min(axis=1), 0.0)
    return nearest


def train(place: Place, parameters: Parameters, rows: Matrix, stop: Stop) -> Matrix:
    """All epochs, each with its metric lines; the centers so far when stopped."""
    trainer = Trainer(parameters, rows)
    for number in range(parameters.epochs):
        began = time.perf_counter()
        seen = trainer.epoch(stop)
        rate = seen / max(time.perf_counter() - began, 1e-9)
        centers = trainer.centers()
        msd = squared_distances(rows, centers).mean()
        done = 100 * (number + 1) / parameters.epochs
        say(f"#quality_metric: host={place.host}, epoch={number}, train msd <loss>={msd:.12g}")
        say(f"#progress_metric: host={place.host}, completed {done:g} % of epochs")
        say(f"#throughput_metric: host={place.host}, train throughput={rate:.12g} records/second")
        if stop.requested:
            say("SIGTERM: keeping the model so far")
            break
    return centers


def evaluate(place: Place, parameters: Parameters, channel: str, rows: Matrix, centers: Matrix) -> None:
    """Metric lines for a channel: msd and, if asked for, ssd."""
    distances = squared_distances(rows, centers)
    for name, value in (("msd", distances.mean()), ("ssd", distances.sum())):
        if name in parameters.eval_metrics or (name == "msd" and channel == "train"):
            say(f"#quality_metric: host={place.host}, {channel} {name} <loss>={value:.12g}")


def run(place: Place, stop: Stop) -> None:
    """The whole training. Raises `CustomerError`."""
    given = place.config("hyperparameters")
    parameters = parse(given)
    for name in ignored(given):
        say(f"hyperparameter {name} has no effect in the local k-means")
    rows = load(place, "train", parameters.feature_dim)
    if rows is None:
        raise CustomerError(
            "Unable to initialize the algorithm. Failed to validate input data configuration."
            " (caused by ValidationError)\n\nCaused by: 'train' is a required property"
        )
    test = load(place, "test", parameters.feature_dim)
    say(f"local k-means (scikit-learn): {len(rows)} records of {rows.shape[1]} features, k={parameters.k}")
    if len(place.hosts) > 1:
        say(f"{len(place.hosts)} instances train separately on their own data; algo-1's model is kept")
    centers = train(place, parameters, rows, stop)
    evaluate(place, parameters, "train", rows, centers)
    if test is not None:
        evaluate(place, parameters, "test", test, centers)
    with (place.base / "model" / "model_algo-1").open("wb") as file:
        np.save(file, centers)


def main() -> int:
    """`train` as a container does it: 0, or 1 with the reason in output/failure."""
    stop = Stop()
    stop.install()
    place = Place.here()
    try:
        run(place, stop)
    except CustomerError as error:
        print(f"Customer Error: {error}", flush=True)
        reason, code = str(error), 1
    except Exception:  # noqa: BLE001  whatever it is, it belongs into output/failure
        reason, code = traceback.format_exc(), 255
        print(f"Algorithm Error: {reason}", flush=True)
    else:
        return 0
    (place.base / "output" / "failure").write_text(reason)
    return code


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        from components.aws.embedded.algorithms.kmeans_serving import main as serve

        sys.exit(serve())
    sys.exit(main())
