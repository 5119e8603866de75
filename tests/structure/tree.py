"""What the structure tests share: the files of the tree and the order of its floors."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build"

# From the ground up. Rooms of lib/io stand on wire; programs stand on everything.
FLOORS = ["lib/base", "lib/spec", "lib/migration", "lib/plan", "lib/core", "lib/wire"]
PURE = FLOORS[:5]
PLATFORM, PLACE = "lib/io/platform", "lib/io/place"
ROOMS = [PLATFORM, "lib/io/artifact", "lib/io/store", "lib/io/db", "lib/io/rpc", PLACE]
PROGRAMS = {"controller": "lockstepd", "node-agent": "lockstep-agent", "cli": "lockstep"}


def files():
    """Every file that git knows or would take, as paths relative to the root."""
    listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard", "-z"],
                            cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return sorted(name for name in set(listed.split("\0")) if name and (ROOT / name).is_file())


def folder_of(name):
    """The floor, room or program that a file belongs to, or None."""
    for folder in [*FLOORS, *ROOMS, *PROGRAMS]:
        if name.startswith(folder + "/"):
            return folder
    return None


def code_files():
    """The C files of the floors, the rooms and the programs."""
    return [name for name in files() if name.endswith((".c", ".h")) and folder_of(name)]
