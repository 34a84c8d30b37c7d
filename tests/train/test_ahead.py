import threading
import time

import pytest

from xfer.runtime.errors import Unusable
from xfer.train.data.ahead import ahead


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "batches"]


def test_everything_comes_in_its_order():
    assert list(ahead(lambda: iter(range(1000)))) == list(range(1000))
    assert running() == []


def test_an_error_comes_at_its_place():
    def make():
        yield from range(5)
        raise Unusable("a file vanished")

    seen = []
    with pytest.raises(Unusable, match="vanished"):
        seen.extend(ahead(make))
    assert seen == [0, 1, 2, 3, 4]
    assert running() == []


def test_no_more_than_the_depth_is_made_before_it_is_wanted():
    made = []

    def make():
        for item in range(100):
            made.append(item)
            yield item

    items = ahead(make, depth=2)
    next(items)
    time.sleep(0.3)  # time to run away, if it did
    assert len(made) <= 4  # one taken, two waiting, one in hand
    items.close()
    assert running() == []


def test_work_goes_on_while_the_consumer_is_busy():
    second = threading.Event()

    def make():
        yield 1
        second.set()
        yield 2

    items = ahead(make)
    assert next(items) == 1
    assert second.wait(timeout=30)  # nobody has asked for the second one
    assert list(items) == [2]
