# SPDX-License-Identifier: Apache-2.0
"""Runs a program on a smaller or older machine than this one:

    machine.py [no-pagemap-scan] [no-pidfd] [memory=BYTES] -- PROGRAM ARGS...

no-pagemap-scan  the kernel answers the ioctl PAGEMAP_SCAN as kernels before 6.7 do
no-pidfd         the kernel answers pidfd_open as kernels before 5.3 do, and as sandboxes may
memory=BYTES     control groups seem to allow no more (needs root: a private view of /sys/fs/cgroup; nothing outside
                 changes, and nothing is enforced)
"""

import ctypes
import os
import platform
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
ALLOW, ANSWER_ERRNO, ENOTTY, ENOSYS = 0x7FFF0000, 0x00050000, 25, 38
PAGEMAP_SCAN = 0xC0606610
IOCTL = {"x86_64": 16, "aarch64": 29}
PIDFD_OPEN = 434
LOAD, JUMP_IF_EQUAL, ANSWER = 0x20, 0x15, 0x06


def check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        sys.exit(f"machine.py: {what}: {os.strerror(number)}")


def filter_calls(*lines):
    """Of system calls; the lines' offsets are those of struct seccomp_data."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code))
    check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    check(LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_char_p(program), 0, 0), "seccomp")


def without_pagemap_scan():
    filter_calls((LOAD, 0, 0, 0),
                 (JUMP_IF_EQUAL, 0, 3, IOCTL[platform.machine()]),
                 (LOAD, 0, 0, 24),
                 (JUMP_IF_EQUAL, 0, 1, PAGEMAP_SCAN),
                 (ANSWER, 0, 0, ANSWER_ERRNO | ENOTTY),
                 (ANSWER, 0, 0, ALLOW))


def without_pidfd():
    filter_calls((LOAD, 0, 0, 0),
                 (JUMP_IF_EQUAL, 0, 1, PIDFD_OPEN),
                 (ANSWER, 0, 0, ANSWER_ERRNO | ENOSYS),
                 (ANSWER, 0, 0, ALLOW))


def with_memory(limit):
    check(LIBC.unshare(CLONE_NEWNS), "unshare")
    check(LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "make mounts private")
    check(LIBC.mount(b"none", b"/sys/fs/cgroup", b"tmpfs", 0, None), "mount")
    with open("/proc/self/cgroup") as file:
        groups = [line.rstrip("\n").split(":", 2) for line in file]
    for _, controllers, path in groups:
        if not controllers:
            folder, name = "/sys/fs/cgroup" + path, "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = "/sys/fs/cgroup/memory" + path, "memory.limit_in_bytes"
        else:
            continue
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, name), "w") as file:
            file.write(f"{limit}\n")


def main():
    separator = sys.argv.index("--")
    for word in sys.argv[1:separator]:
        if word == "no-pagemap-scan":
            without_pagemap_scan()
        elif word == "no-pidfd":
            without_pidfd()
        elif word.startswith("memory="):
            with_memory(int(word[7:]))
        else:
            sys.exit(__doc__)
    command = sys.argv[separator + 1:]
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
