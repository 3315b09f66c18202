"""Run a program that ends when its parent ends: `leash.py SIGNAL PARENT_PID PROGRAM ARGUMENT…`.

A program of its own, on the standard library alone: it asks the kernel to send SIGNAL once
the parent is gone, even by `kill -9`, and becomes PROGRAM under the same process id. Where the
kernel knows no such wish (it is Linux's), the next start ends what was left over.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(arguments: list[str]) -> None:
    number, parent, *command = arguments
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != int(parent):
            sys.exit("the parent ended before its child began")
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
