"""Runs one command as an unprivileged account, because PostgreSQL refuses to run as root.

Root executes it as a file: unprivileged.py UID GID PATH... -- COMMAND. The command must be able to reach the paths.
If the account cannot (the project is in a 0700 folder of root's), no permission is changed: the command keeps one capability,
to read and pass through any folder.
"""

import ctypes
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
# Without it, access(2) ignores the capability, and initdb uses access(2) to find its other programs.
SECBIT_NO_SETUID_FIXUP = 1 << 2


def main(arguments: Sequence[str]) -> NoReturn:
    uid, gid = int(arguments[0]), int(arguments[1])
    divider = arguments.index("--")
    paths, command = arguments[2:divider], arguments[divider + 1 :]
    try:
        if _reaches(uid, gid, paths):
            _become(uid, gid)
        else:
            _become_able_to_read(uid, gid)
            if not all(os.access(path, os.X_OK) for path in paths):
                raise PermissionError
    except OSError:
        # In the form of PostgreSQL's log lines, because the supervisor reads the reason from there.
        sys.exit(
            f"FATAL:  root cannot run PostgreSQL as the account {uid} in {paths[-1]}: "
            "set DATA_DIR to a folder that every account may pass through, or run as another user."
        )
    os.execv(command[0], list(command))  # noqa: S606 (the command is the supervisor's own)


def _reaches(uid: int, gid: int, paths: Sequence[str]) -> bool:
    child = os.fork()
    if child == 0:
        try:
            _become(uid, gid)
            os._exit(0 if all(os.access(path, os.X_OK) for path in paths) else 1)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _become_able_to_read(uid: int, gid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def call(result: int) -> None:
        if result != 0:
            raise OSError(ctypes.get_errno(), "capability refused")

    capability = next(
        (each for each in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE) if _effective_capabilities() >> each & 1), None
    )
    if capability is None:
        raise PermissionError
    call(libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
    _become(uid, gid)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    bits = 1 << capability
    call(libc.capset(header, (ctypes.c_uint32 * 6)(bits, bits, bits, 0, 0, 0)))
    call(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))


def _effective_capabilities() -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        return next((int(line.split()[1], 16) for line in status if line.startswith("CapEff:")), 0)


if __name__ == "__main__":
    main(sys.argv[1:])
