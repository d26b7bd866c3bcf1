import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from deepinit.store import stop_on_signals

SIGNALS = (signal.SIGTERM, signal.SIGINT)

LOOP = """
import time
from deepinit.store import stop_on_signals
with stop_on_signals(notify=lambda name: print("noted", name, flush=True)) as stop:
    print("ready", flush=True)
    while not stop.requested:
        time.sleep(0.01)
    print("block finished", flush=True)
raise SystemExit(75)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_first_signal_sets_the_flag_and_handlers_come_back(number):
    before = [signal.getsignal(each) for each in SIGNALS]
    with stop_on_signals() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        assert stop.signal_name == number.name
        os.kill(os.getpid(), signal.SIGTERM)  # batch systems send several
    assert [signal.getsignal(each) for each in SIGNALS] == before


@pytest.mark.parametrize("first", SIGNALS)
def test_interrupt_after_a_request_raises_at_once(first):
    before = [signal.getsignal(each) for each in SIGNALS]

    def interrupted():
        with stop_on_signals():
            os.kill(os.getpid(), first)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_nothing_is_handled_outside_the_main_thread():
    found = []

    def work():
        with stop_on_signals() as stop:
            found.append((stop.requested, [signal.getsignal(each) for each in SIGNALS]))

    before = [signal.getsignal(each) for each in SIGNALS]
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(False, before)]


def test_a_process_finishes_its_block_and_exits_75():
    process = subprocess.Popen([sys.executable, "-c", LOOP], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert (output, process.returncode) == ("noted SIGTERM\nblock finished\n", 75)
