"""Becomes another program after the set-up that only the new process itself can do.

Run by path with ``python -I -S``, so that it starts in some 15 ms and depends on nothing but the
standard library: ``launch.py OPTIONS_AS_JSON PROGRAM ARGUMENT…``. Options:

``parent``     the supervisor's pid: if it is gone already, do not start at all.
``orphaned``   signal that the kernel sends this process when the supervisor dies (Linux).
``directory``  becomes the working directory and is held open as ``DIRECTORY_DESCRIPTOR``.
``user``       give up root for this user.

A thread-safe stand-in for ``preexec_fn``, which may deadlock in a process that has threads.
"""

from __future__ import annotations

# All imports stand here: the user it becomes may not be able to read Python's own library.
import contextlib
import ctypes
import json
import os
import pwd
import resource
import sys

DIRECTORY_DESCRIPTOR = 9
PR_SET_PDEATHSIG = 1
OPEN_FILES = (65536, 10240)


def main() -> None:
    options = json.loads(sys.argv[1])
    os.umask(0o077)
    _allow_open_files()
    if options["directory"]:
        # The directory may lie below one that the user cannot enter (root's home, say). Through
        # an open descriptor (/proc/self/fd/9/…) it is reached all the same, and nobody's
        # permissions have to be widened for it.
        opened = os.open(options["directory"], os.O_RDONLY | os.O_DIRECTORY)
        os.dup2(opened, DIRECTORY_DESCRIPTOR, inheritable=True)
        os.fchdir(DIRECTORY_DESCRIPTOR)
    if options["user"]:
        _become(options["user"])
    if sys.platform == "linux":
        _die_with_parent(options["orphaned"])  # after the change of user, which clears it
        if os.getppid() != options["parent"]:
            sys.exit("the supervisor is gone")
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 (which is the point)


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in OPEN_FILES:
        wanted = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return
        with contextlib.suppress(ValueError, OSError):  # macOS says "unlimited" and means less
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return


def _become(name: str) -> None:
    user = pwd.getpwnam(name)
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def _die_with_parent(signal_number: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


if __name__ == "__main__":
    main()
