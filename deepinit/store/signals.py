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
    """Within, the first SIGTERM or SIGINT asks for a stop; a SIGINT after that goes to the earlier handler.

    That one ends the command at once, and raises KeyboardInterrupt in a Python session. A SIGTERM
    after the first signal changes nothing: batch systems send several. An ignored signal (`nohup`,
    `command &`) stays ignored. The earlier handlers come back at the end. Outside the main thread
    Python has no say over signals, and none is handled.

    Args:
        notify: called with the signal's name at the first one, for example to tell the user that a block is finishing.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    earlier = {int(number): signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: FrameType | None) -> None:
        if not stop.requested:
            stop.signal_name = signal.Signals(number).name
            stop.requested = True
            if notify is not None:
                notify(stop.signal_name)
        elif number == signal.SIGINT:
            before = earlier[number]
            if callable(before):
                before(number, frame)
            raise KeyboardInterrupt

    handled = [number for number in earlier if earlier[number] is not signal.SIG_IGN]
    try:
        for number in handled:
            signal.signal(number, handle)
        yield stop
    finally:
        for number in handled:
            before = earlier[number]
            # None: a handler that was not set from Python, and that Python cannot set again.
            signal.signal(number, signal.SIG_DFL if before is None else before)
