"""Stopping between two blocks when asked to."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


class Stop:
    """Whether somebody has asked the run to stop: `requested`, and by which signal.

    The block loop looks at it after each block.
    """

    requested: bool = False
    signal_name: str = ""


@contextlib.contextmanager
def stop_on_signals(notify: Callable[[str], None] | None = None) -> Iterator[Stop]:
    """Within, the first SIGTERM or SIGINT asks for a stop; a SIGINT after that raises KeyboardInterrupt at once.

    A SIGTERM after that changes nothing: batch systems send several. The earlier handlers come back at the end. Outside
    the main thread Python has no say over signals, and none is handled.

    Args:
        notify: called with the signal's name at the first one, for example to tell the user that a block is finishing.
    """
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        stop.signal_name = signal.Signals(number).name
        stop.requested = True
        if notify is not None:
            notify(stop.signal_name)

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    earlier = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in earlier.items():
            # None: a handler that was not set from Python, and that Python cannot set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
