"""How a command ends on SIGTERM or SIGHUP: as after an error, so that its temporary files are removed."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import Final

_AGAIN_SECONDS: Final = 0.05
"""How long a command that cannot end at this moment continues before it is interrupted again."""
_REPEAT_SECONDS: Final = 0.5
"""How long a further signal is taken for the first one: a terminal that is closed sends SIGHUP twice."""
_IMPORTS: Final = "<frozen importlib"
"""The file, as Python names it, of the functions that import, which hold locks that an error there would leave held."""


def not_ignored(*numbers: signal.Signals) -> list[signal.Signals]:
    """Give the signals that are not ignored, as SIGHUP is under nohup."""
    return [each for each in numbers if signal.getsignal(each) is not signal.SIG_IGN]


@contextmanager
def ends_on_signals() -> Iterator[None]:
    """End on SIGTERM and SIGHUP as after an error, so that temporary files are removed; Python would stop at once.

    A second signal stops it at once, unless it is a repeat of the first. One that is ignored, as SIGHUP is under nohup,
    stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ending = _Ending()
    before = {number: signal.signal(number, ending.begin) for number in not_ignored(signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except Exception as error:
        if ending.is_begun:  # what swallowed the end, as a compiler in C, fails for want of what was ended
            raise SystemExit(ending.code) from error
        raise
    finally:
        if not ending.is_begun:  # else the second signal stops what still follows, too
            for number, handler in before.items():
                signal.signal(number, handler)
        ending.leave()


@contextmanager
def ended_at_once_by_signals() -> Iterator[None]:
    """End at once by SIGTERM, SIGHUP and Ctrl-C, where a thread reads standard input: nothing ends it before its input.

    For commands without temporary files. A signal that is ignored stays ignored.
    """
    numbers = not_ignored(signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Ending:
    """Raises SystemExit once a signal has come, and again where Python or a library in C swallowed it.

    Python prints and forgets an error that is raised while it collects an object or while C calls back.
    """

    def __init__(self) -> None:
        """Wait for the signals."""
        self.code: int | None = None
        self._begun = 0.0
        self._alarm = signal.getsignal(signal.SIGALRM)
        self._hook = sys.unraisablehook

    @property
    def is_begun(self) -> bool:
        """Tell whether a signal has come."""
        return self.code is not None

    def begin(self, number: int, frame: FrameType | None) -> None:
        """Take the first signal; the next one stops the process, unless it is a repeat of the first."""
        if self.is_begun:
            if monotonic() - self._begun > _REPEAT_SECONDS:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        self.code, self._begun = 128 + number, monotonic()
        signal.signal(signal.SIGALRM, self._end)
        sys.unraisablehook = self._end_again
        self._end(number, frame)

    def leave(self) -> None:
        """Raise nothing from here on."""
        if self.is_begun:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._alarm)
            sys.unraisablehook = self._hook

    def _end(self, _: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code.co_filename.startswith(_IMPORTS):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        else:
            raise SystemExit(self.code)

    def _end_again(self, swallowed: "sys.UnraisableHookArgs") -> None:
        if isinstance(swallowed.exc_value, SystemExit):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        else:
            self._hook(swallowed)
