"""Stop requests by signal, obeyed between blocks."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


class Stop:
    """Stop request and its signal, read after each block."""

    requested: bool = False
    signal_name: str = ""


@contextlib.contextmanager
def stop_on_signals(notify: Callable[[str], None] | None = None) -> Iterator[Stop]:
    """The first SIGTERM or SIGINT requests a stop; a later SIGINT interrupts.

    The later SIGINT raises KeyboardInterrupt through the earlier handler. Later SIGTERMs are
    ignored (batch systems send several), as are signals ignored before (`nohup`, `command &`). Only
    in the main thread. `notify` gets the first signal's name.
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
            # None: a handler that was not set from Python and cannot be restored by it.
            signal.signal(number, signal.SIG_DFL if before is None else before)
