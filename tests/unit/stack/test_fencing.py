import socket
from threading import Thread

from services.runtime.kafka import ALTERNATING, TRANSACTION_TIMEOUT_MS
from services.tools.stack import fencing
from services.tools.stack.fencing import fence, transactional_ids
from services.tools.stack.settings import HOST


def test_the_ids_are_those_of_the_runtime() -> None:
    assert fencing.LETTERS == ALTERNATING
    assert fencing.TRANSACTION_TIMEOUT_MS == TRANSACTION_TIMEOUT_MS
    assert transactional_ids("x.", "risk", "0") == ("x.risk-0-a", "x.risk-0-b", "x.risk-0-c")


def test_a_broker_that_is_away_is_no_error() -> None:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        port = unused.getsockname()[1]
    assert not fence(port, ("a",))()


def test_a_broker_that_hangs_or_hangs_up_is_not_waited_for() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        assert not fence(port, ("a", "b"))()

        def hang_up() -> None:
            for _ in range(2):  # the first is still in the queue
                server.accept()[0].close()

        thread = Thread(target=hang_up)
        thread.start()
        assert not fence(port, ("a", "b"))()
        thread.join()
