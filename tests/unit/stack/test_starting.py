"""What a command says that meets a stack on its way up."""

import os
import sys
from pathlib import Path
from socket import socket

import pytest

from services.cli import main
from services.tools.stack.identity import identify
from services.tools.stack.status import Phase, StackStatus, write_status


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.UP])
def test_what_fails_on_a_stack_that_starts_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: Phase
) -> None:
    identity = identify(os.getpid())  # this process stands for the supervisor
    assert identity is not None
    (tmp_path / "run").mkdir()
    write_status(tmp_path, StackStatus(phase, identity, ()))
    monkeypatch.setenv("OUTCRY_HOME", str(tmp_path))
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens there
        monkeypatch.setenv("OUTCRY_KAFKA_BOOTSTRAP", "{}:{}".format(*taken.getsockname()))
        monkeypatch.setattr(
            sys, "argv", ["outcry", "order", "place", "--account", "a", "AAPL", "BUY", "1"]
        )
        with pytest.raises(SystemExit) as ended:
            main()
    told = str(ended.value.code)
    assert ("still starting: wait until `outcry status`" in told) == (phase is Phase.STARTING)
    assert "Kafka does not answer at" in told
