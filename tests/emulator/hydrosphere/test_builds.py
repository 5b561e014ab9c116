"""Builds: what is looked at, what is said of it, and that nothing of it is run."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from components.hydrosphere.embedded import Fault
from components.hydrosphere.embedded.building import builds as builds_module
from components.hydrosphere.embedded.building import tools
from components.hydrosphere.embedded.building.commands import dockerfile_problem
from tests.emulator.helpers import eventually
from tests.emulator.hydrosphere.helpers import CODE, FILES, below, hydrosphere, packed, signature

RUNTIME = "hydrosphere/serving-runtime-python-3.7:3.0.3"
INSTALL = "pip install -r requirements.txt"


async def test_the_log_is_dockers_and_says_that_it_is_a_simulation() -> None:
    async with hydrosphere() as hs:
        status, lines = await hs.built(installCommand=INSTALL)
    assert status == "Released"
    assert "SIMULATION" in lines[0]
    assert "nothing is installed and no image is made" in lines[0]
    assert [line for line in lines if line.startswith("Step ")] == [
        f"Step 1/6 : FROM {RUNTIME}",
        "Step 2/6 : LABEL MODEL_NAME=adult",
        "Step 3/6 : LABEL MODEL_VERSION=1",
        "Step 4/6 : ADD model /model",
        "Step 5/6 : WORKDIR /model/files",
        f"Step 6/6 : RUN {INSTALL}",
    ]
    assert " ---> 2 files and folders" in lines
    assert " ---> src/func_main.py has the function predict" in lines
    assert " ---> requirements.txt: 2 requirements" in lines
    assert " ---> not run" in lines
    assert lines[-1] == "Successfully checked adult:1; no image was made"


async def test_without_a_command_there_is_no_step_for_it() -> None:
    async with hydrosphere() as hs:
        status, lines = await hs.built(payload=packed({}), installCommand=None)
    assert status == "Released"
    assert [line for line in lines if line.startswith("Step ")][-1] == "Step 5/5 : WORKDIR /model/files"


async def test_a_build_takes_its_time() -> None:
    async with hydrosphere(build_seconds=0.5) as hs:
        began = time.monotonic()
        await hs.built()
        assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize("era", [2, 3])
@pytest.mark.parametrize("command", ["", "  ", "\n"])
async def test_a_blank_command_fails_as_a_bare_run_does(era: int, command: str) -> None:
    async with hydrosphere(era) as hs:
        status, lines = await hs.built(installCommand=command)
    assert status == "Failed"
    assert lines[1:] == ["ERROR: Dockerfile parse error line 6: RUN requires at least one argument"]


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("pip install numpy\nrm x", "unknown instruction: rm"),
        ("pip install numpy\nENV A=1", ""),
        ("pip install \\\n  numpy", ""),
        ("a\n# comment\n\n", ""),
        ("a", ""),
    ],
)
def test_a_command_of_several_lines_is_several_lines_of_the_dockerfile(command: str, problem: str) -> None:
    assert dockerfile_problem(command) == problem


@pytest.mark.parametrize(
    "command", ["echo 'unclosed", 'echo "unclosed', "if true; then", "(a", "a &&", "a )", "for x"]
)
async def test_a_command_that_no_shell_can_read_fails(command: str) -> None:
    async with hydrosphere() as hs:
        status, lines = await hs.built(installCommand=command)
    assert status == "Failed"
    assert any(line.startswith("ERROR: bash can't read the command: ") for line in lines), lines
    assert lines[-1] == f"ERROR: The command {command!r} would fail"


async def test_without_bash_quotes_are_looked_at_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    async with hydrosphere() as hs:
        assert (await hs.built(installCommand="echo 'fine'"))[0] == "Released"
        status, lines = await hs.built(installCommand="echo 'unclosed")
    assert status == "Failed"
    assert "ERROR: No closing quotation" in lines


@pytest.mark.parametrize("command", ["touch {}", "$(touch {})", "`touch {}`", "cat <(touch {})", "a=$(<{})"])
async def test_no_command_is_run(command: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    async with hydrosphere() as hs:
        assert (await hs.built(installCommand=command.format(trace)))[0] == "Released"
    assert not trace.exists()


async def test_a_shell_that_does_not_end_fails_the_build(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shell = tmp_path / "bash"
    shell.write_text("#!/bin/sh\nexec sleep 60\n")
    shell.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda _: str(shell))
    monkeypatch.setattr(tools, "SECONDS", 0.2)
    async with hydrosphere() as hs:
        status, lines = await hs.built(installCommand="a")
    assert status == "Failed"
    assert "ERROR: bash can't read the command within a reasonable time" in lines


@pytest.mark.parametrize(
    "command",
    [
        "pip install -r {}",
        "pip3 install -r{}",
        "python3.7 -m pip install --upgrade --requirement {}",
        "apt-get update && pip install --requirement={} && echo done",
        "cd /model/files; pip install -r /model/files/{}",
        "(pip install -q -r {})",
        "cd src && pip install -r ../{}",
    ],
)
async def test_files_of_requirements_have_to_be_in_the_payload(command: str) -> None:
    async with hydrosphere() as hs:
        status, lines = await hs.built(installCommand=command.format("requirements.txt"))
        assert (status, " ---> requirements.txt: 2 requirements" in lines) == ("Released", True), lines
        status, lines = await hs.built(installCommand=command.format("other.txt"))
        assert status == "Failed"
        assert "ERROR: Could not open requirements file 'other.txt': it is not in the payload" in lines


@pytest.mark.parametrize(
    ("command", "note"),
    [
        ("pip install -r $FILE", "whether there is a file '$FILE' can't be told without running the command"),
        ("cd $X && pip install -r a.txt", "whether there is a file 'a.txt' can't be told"),
        ("pip install -r /etc/other.txt", "/etc/other.txt is not in the payload; the runtime may have it"),
        ("pip install -r ../other.txt", "../other.txt is not in the payload; the runtime may have it"),
        ("pip download -r missing.txt", "not run"),
        ("echo pip -r missing.txt", "not run"),
    ],
)
async def test_what_only_the_shell_knows_is_noted(command: str, note: str) -> None:
    async with hydrosphere() as hs:
        status, lines = await hs.built(installCommand=command)
    assert status == "Released"
    assert any(line.startswith(f" ---> {note}") for line in lines), lines


@pytest.mark.parametrize(
    "line",
    [
        "numpy",
        "numpy==1.18.3",
        "numpy >=1, <2",
        "numpy (>=1,<2)",
        "numpy[all, some]~=1.0 ; python_version < '3.8'",
        "numpy @ https://example.invalid/numpy.zip",
        "git+https://example.invalid/x.git@main#egg=x",
        "./local/package",
        "local/package",
        "wheel-1-py3-none-any.whl",
        "numpy==1.0 --hash=sha256:abc",
        "numpy==1.0 \\\n    --hash=sha256:abc \\\n    --hash=sha256:def",
        "--index-url https://example.invalid/simple",
        "-e .",
        "# nothing",
        "",
        "numpy  # for arrays",
        "a.b_c-d",
    ],
)
async def test_requirements_as_pip_knows_them(line: str) -> None:
    async with hydrosphere() as hs:
        payload = packed({"r.txt": f"{line}\n".encode()})
        status, lines = await hs.built(payload=payload, installCommand="pip install -r r.txt")
    assert status == "Released", lines


@pytest.mark.parametrize(
    "line", ["numpy scipy", "numpy=1.0", "==1.0", "numpy[", "import numpy", "numpy==", "<html>", "x" * 2000]
)
async def test_what_is_no_requirement_fails_the_build(line: str) -> None:
    async with hydrosphere() as hs:
        payload = packed({"r.txt": f"scipy\n\n{line}\n".encode()})
        status, lines = await hs.built(payload=payload, installCommand="pip install -r r.txt")
    assert status == "Failed"
    assert f"ERROR: Invalid requirement: {line[:200]!r} (line 3 of r.txt)" in lines


async def test_requirements_that_name_further_files() -> None:
    files = {"deps/a.txt": b"-r b.txt\n-c ../c.txt\n", "deps/b.txt": b"-r a.txt\nnumpy\n", "c.txt": b"x\n"}
    async with hydrosphere() as hs:
        command = "pip install -r deps/a.txt"
        status, lines = await hs.built(payload=packed(files), installCommand=command)
        assert status == "Released"
        assert {line for line in lines if "requirement" in line and "--->" in line} == {
            " ---> deps/a.txt: 0 requirements",
            " ---> deps/b.txt: 1 requirement",
            " ---> c.txt: 1 requirement",
        }
        del files["c.txt"]
        status, lines = await hs.built(payload=packed(files), installCommand=command)
        assert status == "Failed"
        assert "ERROR: Could not open requirements file 'c.txt': it is not in the payload" in lines


async def test_a_file_of_requirements_that_is_no_text() -> None:
    async with hydrosphere() as hs:
        status, lines = await hs.built(
            payload=packed({"r.txt": b"\xff\xfe"}), installCommand="pip install -r r.txt"
        )
    assert status == "Failed"
    assert "ERROR: The requirements file 'r.txt' is no text in UTF-8" in lines


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"def predict(x)\n", "SyntaxError: expected ':' (src/func_main.py, line 1)"),
        (b"def predict(x):\nreturn x\n", "IndentationError: "),
        (b"return 1\n", "SyntaxError: 'return' outside function"),
        (b"x = '\xff'\n", "SyntaxError: "),
        (b"a\0b", ": source code string cannot contain null bytes"),
        (b"-" * 100_000 + b"1", "src/func_main.py"),
        (b"x" + b".y" * 200_000, "src/func_main.py"),
    ],
)
async def test_code_that_python_can_not_read_fails_the_build(source: bytes, message: str) -> None:
    async with hydrosphere() as hs:
        status, lines = await hs.built(payload=packed({"src/func_main.py": source}))
    assert status == "Failed"
    assert message in lines[-1], lines[-1]


@pytest.mark.parametrize(
    "source",
    [
        CODE,
        b"async def predict(x): pass\n",
        b"from other import predict\n",
        b"import other as predict\n",
        b"predict = lambda x: x\n",
        b"predict: object = len\n",
        b"class predict: pass\n",
        b"try:\n    from a import predict\nexcept ImportError:\n    predict = None\n",
        b"if True:\n    pass\nelse:\n    def predict(x): pass\n",
        b"'\\d'\ndef predict(x): return x is 1\n",
    ],
)
async def test_the_function_may_come_from_anywhere(source: bytes) -> None:
    async with hydrosphere() as hs:
        status, lines = await hs.built(payload=packed({"src/func_main.py": source}))
    assert status == "Released"
    assert " ---> src/func_main.py has the function predict" in lines


async def test_a_missing_function_is_a_warning() -> None:
    async with hydrosphere() as hs:
        status, lines = await hs.built(modelSignature=signature(3, signatureName="infer"))
        assert status == "Released"
        assert "WARNING: src/func_main.py has no function 'infer', which is the signature's name" in lines
        inner = packed({"src/func_main.py": b"def outer():\n    def predict(x): pass\n"})
        assert any(line.startswith("WARNING: ") for line in (await hs.built(payload=inner))[1])


async def test_code_that_is_too_large_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builds_module, "LARGEST_ENTRY", 10)
    async with hydrosphere() as hs:
        status, lines = await hs.built()
    assert status == "Released"
    assert "WARNING: src/func_main.py is larger than 10 bytes and not looked at" in lines


async def test_no_code_is_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    source = f"open({str(trace)!r}, 'w').close()\ndef predict(x): pass\n".encode()
    async with hydrosphere() as hs:
        assert (await hs.built(payload=packed(FILES | {"src/func_main.py": source})))[0] == "Released"
    assert not trace.exists()


async def test_a_build_that_breaks_is_a_failed_build(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise OSError("on purpose")

    monkeypatch.setattr(builds_module, "ran", broken)
    async with hydrosphere() as hs:
        status, lines = await hs.built()
        assert status == "Failed"
        assert lines[-1] == "ERROR: the embedded Hydrosphere broke; see its log"


async def test_a_deleted_versions_build_comes_to_nothing() -> None:
    async with hydrosphere(build_seconds=0.3) as hs, hs.listening() as stream:
        await hs.upload()
        await hs.delete("/api/v2/model/1")
        await hs.upload(name="after")
        heard = []
        async for row in stream:
            heard.append((row.event, '"id": 1' in row.data[:8] or row.data == "1"))
            if '"Released"' in row.data:
                break
    assert heard == [
        ("ModelUpdate", True),
        ("ModelRemove", True),
        ("ModelUpdate", False),
        ("ModelUpdate", False),
    ]


async def test_builds_end_with_the_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with hydrosphere(build_seconds=600) as hs:
        for _ in range(3):
            await hs.upload()
        assert len(below(tmp_path, "func_main.py")) == 3
    assert list(tmp_path.iterdir()) == []


async def test_files_go_when_they_are_needed_no_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with hydrosphere(faults=True) as hs:
        hs.cloud.faults.add(Fault("Build", "hang_build"))
        await hs.upload(name="deleted")
        await hs.built(name="built")
        await gone(tmp_path, 1)
        await hs.delete("/api/v2/model/1")
        await gone(tmp_path, 0)


async def gone(folder: Path, left: int) -> None:
    """Wait until no more than so many payloads are left."""

    async def look() -> bool:
        return len(below(folder, "func_main.py")) == left

    await eventually(look)
