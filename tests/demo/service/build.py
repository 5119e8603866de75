#!/usr/bin/python3
"""Makes the three releases of the demo's service as artifacts.

Owns: what distinguishes the releases.  Refuses: anything that would make two builds differ.

    build.py OUTDIR       writes guestbook-VERSION.tar.gz, prints {VERSION: {path, sha256}} as JSON
"""
import gzip
import hashlib
import io
import json
import os
import pathlib
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
ENGINES = ("sqlite", "postgres")
_OLD_COLUMNS = ["id", "author", "message", "created_at", "author_email"]
_NEW_COLUMNS = ["id", "author", "message", "created_at"]

# schema_max is what a binary may meet: 1.0.0 does not mind the index of migration 2, 1.1.0 does not
# mind the view of migration 3, and neither of them can live without author_email.
RELEASES = [
    {"version": "1.0.0", "migrations": 1, "schema_min": 1, "schema_max": 2, "storage": "1.0",
     "columns": _OLD_COLUMNS, "by_author": False, "authors": False},
    {"version": "1.1.0", "migrations": 2, "schema_min": 2, "schema_max": 3, "storage": "1.1",
     "columns": _OLD_COLUMNS, "by_author": True, "authors": False},
    {"version": "2.0.0", "migrations": 4, "schema_min": 4, "schema_max": 4, "storage": "2.0",
     "columns": _NEW_COLUMNS, "by_author": True, "authors": True},
]


def program(release):
    """The source with its release filled in."""
    source = (HERE / "guestbook.py").read_text(encoding="utf-8")
    marker = "RELEASE = {}  # filled in by build.py\n"
    assert source.count(marker) == 1
    return source.replace(marker, f"RELEASE = {release!r}\n").encode()


def files(release):
    """{name in the archive: (mode, bytes)}"""
    found = {
        "bin/guestbook": (0o755, program(release)),
        "modules/install": (0o755, (HERE / "modules/install").read_bytes()),
        "modules/remove": (0o755, (HERE / "modules/remove").read_bytes()),
        "modules/storage/VERSION": (0o644, f"{release['storage']}\n".encode()),
    }
    for engine in ENGINES:
        for path in (HERE / "migrations" / engine).glob("*.sql"):
            if int(path.name.split("_")[0]) <= release["migrations"]:
                found[f"db/migrations/{engine}/{path.name}"] = (0o644, path.read_bytes())
    return found


def entry(name, mode, kind=tarfile.REGTYPE, size=0):
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.size = mode, kind, size
    return info


def pack(release):
    """The bytes of the artifact: sorted, no times, no owners."""
    found = files(release)
    folders = {str(parent) for name in found for parent in pathlib.PurePosixPath(name).parents}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for folder in sorted(folders - {"."}):
            archive.addfile(entry(folder, 0o755, tarfile.DIRTYPE))
        for name, (mode, data) in sorted(found.items()):
            archive.addfile(entry(name, mode, size=len(data)), io.BytesIO(data))
    return gzip.compress(raw.getvalue(), compresslevel=6, mtime=0)


def build(outdir):
    """Writes the artifacts; returns {version: {path, sha256}}."""
    outdir = pathlib.Path(outdir).absolute()
    outdir.mkdir(parents=True, exist_ok=True)
    made = {}
    for release in RELEASES:
        data = pack(release)
        path = outdir / f"guestbook-{release['version']}.tar.gz"
        part = path.with_name(f".{path.name}.{os.getpid()}")
        part.write_bytes(data)
        part.rename(path)
        made[release["version"]] = {"path": str(path), "sha256": hashlib.sha256(data).hexdigest()}
    return made


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: build.py OUTDIR")
    json.dump(build(sys.argv[1]), sys.stdout, indent=2)
    print()
