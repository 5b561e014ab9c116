"""The sample processing image that splits CSV files."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.aws.embedded.algorithms.split import InputError, run
from tests.emulator import processing_helpers as processing
from tests.emulator.helpers import DIGITS, embedded
from tests.emulator.processing_helpers import given, left

SPLIT = "kfp-runner-samples/split:1"
OUT = ("train", "test", "train-labels", "test-labels")


def place(base: Path, **files: str) -> None:
    """Write input files; `data__a` is input/data/a.csv."""
    for name, content in files.items():
        path = base / "input" / f"{name.replace('__', '/')}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())


def numbers(count: int, prefix: str = "") -> str:
    return "".join(f"{prefix}{number}\n" for number in range(count))


async def test_the_digits_and_their_labels_are_split_alike() -> None:
    inputs = [
        given("data", f"{DIGITS}/all/"),
        given("labels", f"{DIGITS}/all-labels/"),
    ]
    outputs = [left(name, f"s3://results/{name}") for name in OUT]
    async with embedded() as aws:
        image = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{SPLIT}"
        for name, uri in (("job-1", SPLIT), ("job-2", image)):
            words = ["--labels", "--test-share", "0.25"]
            job = await processing.run(aws, name, uri, arguments=words, inputs=inputs, outputs=outputs)
            assert job["ProcessingJobStatus"] == "Completed"
        parts = {name: (await aws.get("results", f"{name}/digits.csv")).splitlines() for name in OUT}
        assert {name: len(rows) for name, rows in parts.items()} == {
            "train": 1348,
            "test": 449,
            "train-labels": 1348,
            "test-labels": 449,
        }
        everything = (await aws.get("kfp-runner-samples", "digits/all/digits.csv")).splitlines()
        labels = (await aws.get("kfp-runner-samples", "digits/all-labels/digits.csv")).splitlines()
        # A few of the images are the same as others, so pairs are what is compared.
        pairs = sorted(zip(everything, labels, strict=True))
        found = [*zip(parts["train"], parts["train-labels"], strict=True)]
        assert sorted([*found, *zip(parts["test"], parts["test-labels"], strict=True)]) == pairs
        said = [line.partition("] ")[2] for line in await processing.lines(aws, "job-1")]
        assert said[:2] == [
            "split: 1 files, 25% of the rows for the test, seed 0",
            "digits.csv: 1797 rows of 64 columns read",
        ]
        assert said[-1] == "split: 1797 rows: 1348 for training, 449 for the test"


async def test_bad_input_fails_the_job_and_says_why() -> None:
    async with embedded() as aws:
        await aws.put("data", a_dot_csv=b"1,2\n3\n")
        job = await processing.run(aws, "job-1", SPLIT, inputs=[given("data", "s3://data/")])
        assert job["ProcessingJobStatus"] == "Failed"
        assert job["FailureReason"] == "AlgorithmError: , exit code: 1"
        assert job["ExitMessage"] == "a.csv, row 2: 1 columns, but the rows before it have 2"
        job = await processing.run(aws, "job-2", SPLIT, arguments=["--shares"])
        assert job["ExitMessage"].startswith("unrecognized arguments: --shares (usage: --test-share 0.2")


def test_the_same_seed_gives_the_same_split(tmp_path: Path) -> None:
    found = {}
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        place(tmp_path / name, x=numbers(50))
        run(tmp_path / name, ["--seed", seed])
        found[name] = (tmp_path / name / "test" / "x.csv").read_text()
    assert found["a"] == found["b"] != found["c"]


def test_rows_stay_as_they_are_and_in_order(tmp_path: Path) -> None:
    rows = ['1,"a\nb"\r\n', "2,c\u2028d\n", "\n", "3,e\n", "4,f"]
    place(tmp_path, data__deep__x="".join(rows))
    run(tmp_path, [])
    train = (tmp_path / "train/deep/x.csv").read_bytes().decode()
    test = (tmp_path / "test/deep/x.csv").read_bytes().decode()
    kept = [row for row in [*rows[:4], "4,f\n"] if row != "\n"]
    assert train == "".join(row for row in kept if row != test)
    assert test in kept


def test_a_header_is_repeated(tmp_path: Path) -> None:
    place(tmp_path, x="name\n" + numbers(10))
    run(tmp_path, ["--header", "--test-share", "0.5"])
    for part in ("train", "test"):
        head, *rows = (tmp_path / part / "x.csv").read_text().splitlines()
        assert (head, len(rows)) == ("name", 5)


@pytest.mark.parametrize(
    ("files", "words", "text"),
    [
        ({}, [], "there is no CSV file below input"),
        ({"x": ""}, [], "x.csv has no rows"),
        ({"x": "1\n"}, [], "x.csv has 1 row, which can't be split"),
        ({"x": '"a\n'}, [], "x.csv, line 1: unexpected end of data"),
        ({"x": "1\n2\n"}, ["--test-share", "1"], "--test-share is 1; it must be between 0 and 1"),
        ({"x": "1\n2\n"}, ["--test-share", "nan"], "it must be between 0 and 1"),
        ({"x": "1\n2\n"}, ["--seed", "x"], "argument --seed: invalid int value: 'x'"),
        ({"x": "1\n2\n"}, ["--labels"], "--labels needs the rows in input/data"),
        ({"data__x": "1\n2\n"}, ["--labels"], "input/labels/x.csv is missing"),
        ({"data__x": "1\n2\n", "labels__x": "1\n"}, ["--labels"], "x.csv has 2 rows, but its labels have 1"),
    ],
)
def test_what_can_not_be_split_is_named(
    tmp_path: Path, files: dict[str, str], words: list[str], text: str
) -> None:
    place(tmp_path, **files)
    with pytest.raises(InputError) as caught:
        run(tmp_path, words)
    assert text in str(caught.value)


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "x.csv").write_bytes(b"\xff\n1\n")
    with pytest.raises(InputError, match=r"x\.csv is no text in UTF-8"):
        run(tmp_path, [])
