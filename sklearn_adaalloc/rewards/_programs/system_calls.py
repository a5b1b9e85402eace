"""A filter of system calls for the kernel, which rejects some calls of programs."""

import functools
import platform
import struct

# Numbers of the system calls (x86-64, arm64) that are rejected.
_FORBIDDEN = {
    "fork": (57, None),
    "vfork": (58, None),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "memfd_create": (319, 279),  # its memory is not counted by any limit
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "socket": (41, 198),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
}
_CLONE, _CLONE3 = (56, 220), 435
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


@functools.cache
def system_call_filter():
    """Write the filter of system calls as packet-filter instructions of the kernel.

    Rejected calls fail with EPERM. A call from the table of another architecture kills
    the process. ``clone`` may make threads. A filter cannot see the flags of
    ``clone3``. So it is reported as missing, and the C library uses ``clone``.
    """
    column, architecture = MACHINES[platform.machine()]
    load, equal, at_least, any_bit, end = 0x20, 0x15, 0x35, 0x45, 0x06
    kill, refuse, missing, allow = 0x80000000, 0x00050001, 0x00050026, 0x7FFF0000
    number, machine, first_argument = 0, 4, 16
    new_thread, other_table = 0x00010000, 0x40000000
    numbers = [numbers[column] for numbers in _FORBIDDEN.values()]
    steps = [
        (load, 0, 0, machine),
        (equal, 1, 0, architecture),
        (end, 0, 0, kill),
        (load, 0, 0, number),
        (at_least, 0, 1, other_table),
        (end, 0, 0, kill),
        (equal, 0, 1, _CLONE3),
        (end, 0, 0, missing),
    ]
    for forbidden in filter(None, numbers):
        steps += [(equal, 0, 1, forbidden), (end, 0, 0, refuse)]
    steps += [
        (equal, 0, 3, _CLONE[column]),
        (load, 0, 0, first_argument),
        (any_bit, 1, 0, new_thread),
        (end, 0, 0, refuse),
        (end, 0, 0, allow),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)
