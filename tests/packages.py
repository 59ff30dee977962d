"""Other people's packages as the public registries have them, for the tests that need the real thing; kept from run to
run under ~/.cache/alerce-dagster."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "alerce-dagster" / "tests"


def npm_package(name: str, version: str) -> Path:
    """The folder of an npm package's files; the test skips where it cannot be had."""
    place = CACHE / f"{name.strip('@').replace('/', '-')}-{version}"
    if place.is_dir():
        return place
    if shutil.which("npm") is None:
        pytest.skip(f"needs npm to fetch {name}")
    return _unpacked(["npm", "pack", "--silent", f"{name}@{version}"], place, "*.tgz")


def source_package(name: str, version: str) -> Path:
    """The folder of a source distribution from the Python package index; the test skips where it cannot be had."""
    place = CACHE / f"{name}-{version}-source"
    if place.is_dir():
        return place
    command = [str(environment("fetching", []) / "bin" / "python"), "-m", "pip", "download", "-q", "--no-deps"]
    command += ["--no-binary", name, "--disable-pip-version-check"]
    return _unpacked([*command, f"{name}=={version}"], place, "*.tar.gz")


def environment(name: str, requirements: list[str], seconds: float = 300) -> Path:
    """A virtual environment of its own with exactly these requirements (pinned, their dependencies among them); the
    test skips where it cannot be made."""
    version = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:12]
    place = CACHE / f"{name}-{version}"
    if (place / "complete").exists():
        return place
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "-q", "--no-deps", "--no-compile"]
    pip += ["--disable-pip-version-check"]
    commands = [[sys.executable, "-m", "venv", str(place)], *([[*pip, *requirements]] if requirements else [])]
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            pytest.skip(f"the environment {name} could not be made within {seconds:.0f} s")
        if done.returncode:
            pytest.skip(f"the environment {name} could not be made: {done.stderr.strip()[-200:]}")
    (place / "complete").touch()
    return place


def _unpacked(command: list[str], place: Path, pattern: str) -> Path:
    half = place.with_name(f"{place.name}.{os.getpid()}.part")
    half.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(command, cwd=half, capture_output=True, text=True, timeout=120)
        archives = list(half.glob(pattern))
        if done.returncode or not archives:
            pytest.skip(f"{' '.join(command[:3])} could not fetch it: {(done.stderr.strip() or 'no answer')[-200:]}")
        with tarfile.open(archives[0]) as archive:
            archive.extractall(half / "files", filter="data")
        [inside] = (half / "files").iterdir()
        if not place.exists():
            inside.rename(place)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return place
