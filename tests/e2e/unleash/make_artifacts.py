#!/usr/bin/python3
"""Makes the artifacts of the real application of the tests, unleash-server, from the npm registry.

Owns: one cache directory per version (installed once, kept between runs) and the archives beside
it.  Refuses: to run the packages' install scripts, and to write into the checkout.

    make_artifacts.py [--format tar.gz|tar.zst] [VERSION ...]     prints JSON, one key per version
"""
import argparse
import contextlib
import fcntl
import gzip
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

VERSIONS = {"5.6.0": 210, "5.12.8": 276}  # and the rows that each leaves in `migrations`
SCRIPTS = ("settings.js", "start.js", "migrate.js", "after-down.sql")
HERE = pathlib.Path(__file__).resolve().parent
INSTALL_TIMEOUT_S = 600


class ArtifactError(Exception):
    """What could not be made, and why."""


def cache_root():
    """Where all that is slow to make stays between runs; outside the checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "lockstep-tests"


def tree(version):
    """Folder of the installed package: node_modules in it.  Installs it if it is not there yet."""
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    done = root / f"unleash-{version}"
    if not done.is_dir():
        with _lock(root / f"unleash-{version}.lock"):
            if not done.is_dir():
                _install(version, done)
    return done


def artifact(version, archive_format="tar.gz"):
    """Packs the tree.  Returns {version, path, sha256, bytes, rows}; made once per scripts."""
    packed = tree(version)
    name = f"unleash-{version}-{_scripts_digest()[:12]}.{archive_format}"
    path = cache_root() / name
    if not path.is_file():
        with _lock(cache_root() / f"{name}.lock"):
            if not path.is_file():
                _pack(packed, path, archive_format)
    return {"version": version, "path": str(path), "sha256": _sha256(path),
            "bytes": path.stat().st_size, "rows": VERSIONS.get(version)}


def unpack(version, where):
    """The artifact as a release tree, for tests that want one without Lockstep.  Returns it."""
    where = pathlib.Path(where)
    where.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-xf", artifact(version)["path"], "-C", where], check=True)
    return where


@contextlib.contextmanager
def _lock(path):
    # The lock dies with its holder; the file may stay.
    with open(path, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(version, done):
    if shutil.which("npm") is None:
        raise ArtifactError("npm is not installed: install the packages nodejs and npm")
    work = pathlib.Path(tempfile.mkdtemp(prefix=f".{done.name}-", dir=done.parent))
    try:
        ran = subprocess.run(
            ["npm", "install", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund",
             "--no-package-lock", "--no-update-notifier", f"unleash-server@{version}"],
            cwd=work, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=INSTALL_TIMEOUT_S)
        if ran.returncode != 0:
            raise ArtifactError(f"npm install unleash-server@{version} failed: "
                                f"{ran.stderr.strip()[-2000:]}")
        work.chmod(0o755)
        os.rename(work, done)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _scripts_digest():
    digest = hashlib.sha256()
    for name in SCRIPTS:
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()


def _entries(packed):
    """(name in the archive, path) in one fixed order: the scripts, then the sorted tree."""
    for name in SCRIPTS:
        yield name, HERE / name
    top = packed / "node_modules"
    yield "node_modules", top
    for folder, folders, files in os.walk(top):
        folders.sort()
        for name in sorted(folders + files):
            path = pathlib.Path(folder, name)
            yield str(path.relative_to(packed)), path


def _anonymous(info):
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    runs = info.isdir() or info.issym() or info.mode & 0o100
    info.mode = 0o755 if runs else 0o644
    if info.islnk():  # a hard link of npm's cache is a file like any other
        raise ArtifactError(f"hard link in the tree: {info.name}")
    return info


def _pack(packed, path, archive_format):
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with _compressor(part, archive_format) as out, \
                tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT,
                             bufsize=1 << 20) as archive:
            for name, source in _entries(packed):
                archive.inodes.clear()  # never as hard links
                archive.add(source, arcname=name, recursive=False, filter=_anonymous)
        os.rename(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _compressor(part, archive_format):
    if archive_format == "tar.gz":
        with open(part, "wb") as raw, \
                gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as out:
            yield out
        return
    with open(part, "wb") as raw:
        with subprocess.Popen(["zstd", "-q", "-1", "-c"], stdin=subprocess.PIPE,
                              stdout=raw) as zstd:
            yield zstd.stdin
        if zstd.returncode != 0:
            raise ArtifactError(f"zstd failed ({zstd.returncode})")


def _sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--format", choices=["tar.gz", "tar.zst"], default="tar.gz")
    parser.add_argument("version", nargs="*", default=list(VERSIONS))
    options = parser.parse_args()
    try:
        made = {version: artifact(version, options.format) for version in options.version}
    except ArtifactError as error:
        sys.exit(f"make_artifacts: {error}")
    json.dump(made, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
