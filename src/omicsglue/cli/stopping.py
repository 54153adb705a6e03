"""A command that is asked to stop: at any moment, and within the time that schedulers give."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

GRACE: Final = 25.0  # seconds from the signal to the end; schedulers kill after 30
INTERRUPTED: Final = 130

_words: list[Callable[[], str]] = []


@contextmanager
def last_words(words: Callable[[], str]) -> Iterator[None]:
    """Have it said, of a command that could not come to an end by itself, what it leaves.

    Parameters
    ----------
    words
        Returns what is said: what was saved, and how to go on.
    """
    _words.append(words)
    try:
        yield
    finally:
        _words.remove(words)


@contextmanager
def ending_in_time(tell: Callable[[str], object]) -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, and end the process where neither has done so in time.

    A signal becomes an exception when Python code runs in the main thread. A library that computes for long,
    or swallows the exception, would let the scheduler kill the process; then it ends by itself with exit code
    130, which costs what was not saved and nothing else, since files appear whole or not at all. Signals can
    be handled in the main thread alone; elsewhere nothing changes.

    Parameters
    ----------
    tell
        Says the last words.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours, theirs = socket.socketpair()
    theirs.settimeout(0)
    over = threading.Event()
    threading.Thread(target=_watch, args=(ours, over, tell), daemon=True, name="stopping").start()
    handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGTERM, signal.SIG_DFL if handler is None else handler)
        theirs.close()  # which ends the thread


def _watch(ours: socket.socket, over: threading.Event, tell: Callable[[str], object]) -> None:
    """Wait for a signal; then give the command its time."""
    with ours:
        while heard := ours.recv(64):
            if any(number in heard for number in (signal.SIGINT, signal.SIGTERM)):
                if over.wait(GRACE):
                    return
                _end(tell)


def _end(tell: Callable[[str], object]) -> None:
    with suppress(Exception):
        tell(_words[-1]() if _words else "the command was stopped")
        sys.stdout.flush()
    os._exit(INTERRUPTED)
