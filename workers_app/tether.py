"""Tells the kernel to end a process with the one that started it. Imports nothing of ours."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h

_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def end_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """Called in a fresh child: get ``number`` when ``parent`` is gone, also after a kill -9.

    Only Linux can do this; elsewhere a parent that is killed leaves its children behind.
    """
    if _prctl is None:
        return
    _prctl(PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:  # it was gone before the kernel knew
        os.kill(os.getpid(), number)
