"""One machine with a systemd of its own, for tests: namespaces over an overlay of this machine's root.

Owns: a directory (the overlay's upper side, a tmpfs that no other process sees), a control group, and
the namespaces of one systemd.  All mounts live in its mount namespace and all its processes in its pid
namespace, so they are gone with it.  Refuses: to run without root.

    with SystemdNode() as node:
        node.run("systemctl", "status")
        node.inside(function)      # in a process of its own, as if it had been started there
"""
import contextlib
import ctypes
import functools
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from harness import ROOT, bin_dir, wait_until

BOOT_S = 20
POWER_OFF_S = 5
INSIDE_S = 120
NAMESPACES = ("cgroup", "ipc", "uts", "net", "pid", "mnt")
UNITS = "/run/systemd/system"
TARGET = "lockstep-node.target"
# What sysinit.target would do to the kernel that all share, or what takes long for nothing.
MASKED = ("systemd-sysctl.service", "systemd-modules-load.service", "systemd-binfmt.service",
          "systemd-udevd.service", "systemd-udev-trigger.service", "systemd-udevd-control.socket",
          "systemd-udevd-kernel.socket", "systemd-hwdb-update.service", "systemd-random-seed.service",
          "systemd-timesyncd.service", "systemd-resolved.service", "systemd-networkd.service",
          "dev-hugepages.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
          "sys-kernel-config.mount", "sys-fs-fuse-connections.mount",
          "proc-sys-fs-binfmt_misc.automount", "keyboard-setup.service", "console-setup.service",
          "apparmor.service", "systemd-pstore.service", "systemd-machine-id-commit.service",
          "systemd-journald-audit.socket", "modprobe@.service")

# Runs first: joins a control group of its own, seen from here as the root of all.
OUTER = r"""
dir=$1 group=$2 inner=$3
shift 3
mkdir "$dir/cgroup"
mount -t cgroup2 cgroup2 "$dir/cgroup"
mkdir "$dir/cgroup/$group"
echo 0 >"$dir/cgroup/$group/cgroup.procs"
umount "$dir/cgroup"
exec unshare --pid --mount --fork --kill-child --cgroup --uts --ipc --net --propagation private \
    bash -euc "$inner" node "$dir" "$@"
"""
# Runs as process 1 and becomes systemd.
INNER = r"""
dir=$1
shift
mount -t tmpfs -o mode=755 tmpfs "$dir"
mkdir "$dir/upper" "$dir/work" "$dir/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
cd "$dir/root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do
    : >"dev/$name"
    mount --bind "/dev/$name" "dev/$name"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
for tree in "$@"; do
    mkdir -p "${tree#/}"
    mount --bind "$tree" "${tree#/}"
    mount -o remount,bind,ro "${tree#/}"
done
: >etc/fstab
rm -rf var/log/journal etc/systemd/system
mkdir -p run/systemd/system etc/systemd/system
for unit in $MASKED; do
    ln -s /dev/null "run/systemd/system/$unit"
done
printf '%s\n' '[Unit]' 'DefaultDependencies=no' 'Requires=sysinit.target dbus.socket' \
    'After=sysinit.target dbus.socket' >"run/systemd/system/$TARGET"
hostname lockstep-node
ip link set lo up
start=(env -i container=lockstep PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
    /lib/systemd/systemd --unit="$TARGET" --show-status=false)
mkdir -p mnt
if pivot_root . mnt 2>/dev/null; then
    umount -l /mnt
    exec "${start[@]}"
fi
exec chroot . "${start[@]}"
"""


class SystemdNodeError(AssertionError):
    """The machine itself could not be had, or a call on it took too long."""


class SystemdNode:
    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-node-"))
        self.group = self.dir.name
        self.child = None   # `unshare`, which ends the machine when it ends
        self.leader = None  # the systemd, as this machine counts

    def __enter__(self):
        try:
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    # ---- up and down ---------------------------------------------------------------------

    def _boot(self):
        if os.geteuid() != 0:
            raise SystemdNodeError("a systemd of its own needs root: run the tests as root, or with sudo")
        for path in ("/lib/systemd/systemd", "/usr/bin/dbus-daemon"):
            if not os.path.exists(path):
                raise SystemdNodeError(f"{path} is not there: install the packages systemd and dbus")
        trees = [str(ROOT)] + ([] if ROOT in bin_dir().parents else [str(bin_dir())])
        with open(self.dir / "boot.log", "wb") as log:
            # The machine ends with this process, however that ends.
            self.child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--propagation",
                 "private", "bash", "-euc", OUTER, "boot", str(self.dir), self.group, INNER, *trees],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                env={**os.environ, "TARGET": TARGET, "MASKED": " ".join(MASKED)})
        try:
            wait_until("systemd is up", self._is_up, BOOT_S)
        except AssertionError as error:
            raise SystemdNodeError(f"{error}\n{self._why()}") from error

    def _is_up(self):
        if self.child.poll() is not None:
            raise SystemdNodeError(f"it ended with status {self.child.returncode}")
        self.leader = self.leader or _systemd_below(self.child.pid)
        return (self.leader is not None
                and self.run("systemctl", "is-active", TARGET, check=False).returncode == 0)

    def _why(self):
        words = (self.dir / "boot.log").read_text(encoding="utf-8", errors="replace")
        if self.leader is not None and self.child.poll() is None:
            for argv in (["systemctl", "list-jobs"], ["journalctl", "-n", "40", "--no-pager"]):
                words += self.run(*argv, check=False).stdout
        return words

    def close(self):
        """Powers it off, and then ends whatever is left."""
        if self.child is not None:
            if self.child.poll() is None and self.leader is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.leader, signal.SIGRTMIN + 4)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.child.wait(timeout=POWER_OFF_S)
            self.child.kill()  # and process 1 with it, and all of the others with that
            self.child.wait()
            self._remove_group()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _remove_group(self):
        """A control group is busy for a moment after its last process."""
        script = """
mkdir -p "$1/cgroup"
mount -t cgroup2 cgroup2 "$1/cgroup"
for i in $(seq 100); do
    [ -d "$1/cgroup/$2" ] || exit 0
    find "$1/cgroup/$2" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.05
done
exit 1
"""
        done = subprocess.run(["unshare", "--mount", "--propagation", "private", "bash", "-euc", script,
                               "clean", str(self.dir), self.group], check=False)
        if done.returncode != 0:
            raise SystemdNodeError(f"the control group {self.group} could not be removed")

    # ---- in there ------------------------------------------------------------------------

    def run(self, *argv, check=True):
        """One command to its end; its words are in .stdout."""
        return subprocess.run(
            ["nsenter", "--target", str(self.leader), "--all", "--root", "--wd", *map(str, argv)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=INSIDE_S, check=check)

    def inside(self, function, *args):
        """Calls it in a process on that machine; what it raises comes back as a SystemdNodeError."""
        read, write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            self._in_child(write, function, args)
        os.close(write)
        words = _read_until(read, time.monotonic() + INSIDE_S)
        os.close(read)
        if words is None:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if words is None:
            raise SystemdNodeError(f"it did not end within {INSIDE_S} s")
        if status != 0:
            raise SystemdNodeError(words or f"the process ended with wait status {status}")

    def _in_child(self, write, function, args):
        status = 1
        try:
            self._enter()
            pid = os.fork()  # only a child is in the new pid namespace
            if pid == 0:
                _die_with_parent()
                function(*args)
                status = 0
            else:
                status = 0 if os.waitpid(pid, 0)[1] == 0 else 1
        except BaseException:  # pylint: disable=broad-except
            os.write(write, traceback.format_exc().encode())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _enter(self):
        _die_with_parent()
        proc = f"/proc/{self.leader}"
        group = f"{proc}/root/sys/fs/cgroup/tests"
        os.makedirs(group, exist_ok=True)
        pathlib.Path(group, "cgroup.procs").write_text("0", encoding="ascii")
        root = os.open(f"{proc}/root", os.O_RDONLY)
        spaces = [os.open(f"{proc}/ns/{name}", os.O_RDONLY) for name in NAMESPACES]
        libc = ctypes.CDLL(None, use_errno=True)
        for name, space in zip(NAMESPACES, spaces):
            if libc.setns(space, 0) != 0:
                raise OSError(ctypes.get_errno(), f"setns {name}")
            os.close(space)
        os.fchdir(root)
        os.chroot(".")
        os.close(root)
        os.environ.pop("TMPDIR", None)
        tempfile.tempdir = "/tmp"


def inside(test):
    """For a test whose first argument is a SystemdNode: its body runs on that machine."""
    @functools.wraps(test)
    def wrapper(node, **arguments):
        node.inside(lambda: test(node, **arguments))

    return wrapper


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _systemd_below(pid):
    """The only child, once it has become systemd."""
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            stat = pathlib.Path(f"/proc/{int(entry)}/stat").read_text(encoding="latin-1")
            if int(stat.rpartition(")")[2].split()[1]) == pid and "(systemd)" in stat:
                return int(entry)
    return None


def _read_until(descriptor, deadline):
    """All of it as text; None when there was no end in time."""
    import select

    data = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return None
        piece = os.read(descriptor, 65536)
        if not piece:
            return data.decode(errors="replace")
        data += piece
