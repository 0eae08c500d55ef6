"""`hark listen`: a file at real speed, as bars and as JSON; a microphone; and what is wrong."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from tests.clients.live_audio import QUICK, SAME, Sound, metric, posted, sound
from tests.contract.interpreter import ROOT
from tests.live_server import LiveServer, live_server
from tests.sounds import encode
from tests.two_versions import eventually

LISTEN: Final = [sys.executable, "-m", "app.cli", "listen"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("listen") / "log", **QUICK) as running:
        yield running


@pytest.fixture(scope="module")
def audio() -> Sound:
    """A second and a half of stereo."""
    return sound(1.6, 22_050, 2)


@pytest.fixture(scope="module")
def file(audio: Sound, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sounds") / "sweep.flac"
    path.write_bytes(encode(audio.samples, audio.sample_rate, "FLAC", "PCM_16"))
    return path


def run_listen(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LISTEN, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def check_refusal(result: subprocess.CompletedProcess[str], words: str) -> None:
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("hark: ")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr


def test_a_file_is_streamed_at_real_speed(server: LiveServer, audio: Sound, file: Path) -> None:
    began = time.monotonic()
    result = run_listen(file, "--url", server.url, "--json", "--model", "urbansound@1")
    assert (result.returncode, result.stderr) == (0, "")
    assert time.monotonic() - began > 1.6
    lines: list[dict[str, Any]] = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["end_seconds"] for line in lines] == [0.5, 1.0, 1.5, pytest.approx(1.6, abs=1e-4)]
    assert all(0 < line["latency_seconds"] < 5 for line in lines)
    mono = Sound(audio.samples.mean(axis=1, keepdims=True), audio.sample_rate)
    answer = posted(server, mono.wav(0, 1.5))
    assert lines[2]["label"] == answer["label"]
    assert set(SAME) <= set(lines[2])
    assert lines[2]["probabilities"] == pytest.approx(answer["probabilities"], abs=0.01)


def test_it_tells_of_the_labels_that_are_asked_for(server: LiveServer, file: Path) -> None:
    asked = ("--labels", "siren,gun_shot", "--labels", "drilling")
    result = run_listen(file, "--url", server.url, "--json", *asked)
    assert (result.returncode, result.stderr) == (0, "")
    lines: list[dict[str, Any]] = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(list(line["probabilities"]) == ["drilling", "gun_shot", "siren"] for line in lines)
    unknown = run_listen(file, "--url", server.url, "--labels", "sirens")
    check_refusal(unknown, "has no label 'sirens'. There is: air_conditioner")


def test_a_terminal_shows_bars_that_move(server: LiveServer, file: Path) -> None:
    output, status = in_a_terminal([file, "--url", f"ws://127.0.0.1:{server.port}"])
    assert status == 0
    for words in ("Listening to sweep.flac", "urbansound@1", "street_music", "0:00.0 - 0:01.5"):
        assert words in output
    assert "█" in output
    assert re.search(r"\d+ ms", output)
    assert output.count("air_conditioner") >= 4  # drawn anew with each result
    assert "\x1b[?25l" in output  # the cursor is hidden,
    assert output.rstrip().endswith("\x1b[?25h")  # and there again


def test_silence_is_shown_as_silence(server: LiveServer, tmp_path: Path) -> None:
    path = tmp_path / "silence.wav"
    path.write_bytes(encode(0 * sound(0.6, 8_000).samples, 8_000))
    output, status = in_a_terminal([path, "--url", server.url])
    assert status == 0
    assert "silence" in output
    assert "█" not in output


def in_a_terminal(
    arguments: list[str | Path], interrupt_after: bytes | None = None
) -> tuple[str, int]:
    """Run `hark listen` in a terminal of its own, and return what it showed and its exit status."""
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        [*LISTEN, *map(str, arguments)],
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        close_fds=True,
    )
    os.close(secondary)
    shown = b""
    try:
        while piece := os.read(primary, 65_536):
            shown += piece
            if interrupt_after is not None and interrupt_after in shown:
                process.send_signal(signal.SIGINT)
                interrupt_after = None
    except OSError:
        pass  # how Linux tells that the other side is closed
    os.close(primary)
    return shown.decode(), process.wait(timeout=20)


def test_ctrl_c_ends_it_cleanly(server: LiveServer, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(encode(sound(30.0, 8_000).samples, 8_000))
    began = time.monotonic()
    output, status = in_a_terminal([path, "--url", server.url], b"0:01.0")
    assert (status, time.monotonic() - began < 20) == (0, True)
    assert "Traceback" not in output
    assert output.rstrip().endswith("\x1b[?25h")
    assert eventually(lambda: metric(server, "hark_streams_open") == 0)


# What is wrong


def test_a_service_that_is_not_there(file: Path) -> None:
    check_refusal(run_listen(file, "--url", "ws://127.0.0.1:9"), "cannot be reached")
    check_refusal(run_listen(file, "--url", "http://["), "cannot be reached")


def test_a_service_that_is_none_of_hark(server: LiveServer, file: Path) -> None:
    check_refusal(run_listen(file, "--url", f"{server.url}/elsewhere"), "HTTP 404")


def test_what_the_service_says_is_wrong_is_shown(server: LiveServer, file: Path) -> None:
    check_refusal(run_listen(file, "--url", server.url, "--model", "birds"), "no model 'birds'")


def test_a_file_that_is_no_audio(server: LiveServer, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no audio at all")
    check_refusal(run_listen(path, "--url", server.url), "not audio in a known format")
    check_refusal(run_listen(tmp_path / "missing.wav"), "No such file")


def test_a_service_that_ends(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(encode(sound(30.0, 8_000).samples, 8_000))
    with live_server(tmp_path / "log", **QUICK) as server:
        process = subprocess.Popen(
            [*LISTEN, str(path), "--url", server.url, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["type"] == "result"
        server.process.send_signal(signal.SIGTERM)
        _, complaint = process.communicate(timeout=20)
    assert process.returncode == 1
    assert complaint.startswith("hark: The service has been asked to stop.")


# A microphone


def test_without_a_microphone_there_is_one_sentence(server: LiveServer) -> None:
    """PortAudio may be missing, or there is no such device: both in words."""
    result = run_listen("--url", server.url, "--device", "a device that nobody has")
    check_refusal(result, "hark listen FILE")


def test_without_the_extra_it_is_named(server: LiveServer, tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text("raise ImportError('not installed')")
    result = run_listen("--url", server.url, PYTHONPATH=f"{tmp_path}:{ROOT}")
    check_refusal(result, "pip install 'hark[listen]'")


# A machine without sound has a microphone too, if ALSA is told that a file is one. It is not played
# at real speed: what PortAudio hands over faster than it can be sent is lost, as from a real one.
ALSA: Final = Path("/usr/share/alsa/alsa.conf")
MICROPHONE: Final = """
pcm.!default {{
    type file
    slave.pcm "null"
    file "/dev/null"
    infile "{sound}"
    format "raw"
}}
"""


@pytest.fixture
def microphone(tmp_path: Path) -> dict[str, str]:
    """A tone in the default input of ALSA: the environment in which it is there."""
    if find_library("portaudio") is None or not ALSA.exists():
        pytest.skip("there is no PortAudio here; it is libportaudio2 in Debian")
    sound = tmp_path / "tone.raw"
    samples = np.round(9_000 * np.sin(np.arange(44_100 * 20) / 20)).astype("<i2")
    sound.write_bytes(samples.tobytes())
    settings = tmp_path / "asound.conf"
    settings.write_text(MICROPHONE.format(sound=sound))
    return {"ALSA_CONFIG_PATH": f"{ALSA}:{settings}"}


def test_a_microphone_is_streamed_until_ctrl_c(
    server: LiveServer, microphone: dict[str, str]
) -> None:
    process = subprocess.Popen(
        [*LISTEN, "--url", server.url, "--json", "--hop-seconds", "0.25"],
        env={**os.environ, **microphone},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    heard = [json.loads(process.stdout.readline()) for _ in range(4)]
    assert [each["end_seconds"] for each in heard] == [0.25, 0.5, 0.75, 1.0]
    assert not any(each["silence"] for each in heard)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=20)
    assert (process.returncode, complaint) == (0, "")
