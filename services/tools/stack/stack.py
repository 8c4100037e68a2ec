"""A stack as its user holds it: start, watch, stop. The supervisor is a process of its own."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from services.tools.stack.assembly import ports_of
from services.tools.stack.errors import AlreadyRunningError, StackError, StartError
from services.tools.stack.fetch import KAFKA, REGISTRY, Report, fetch
from services.tools.stack.identity import (
    ProcessIdentity,
    identify,
    is_alive,
    read_pid_file,
    send_signal,
)
from services.tools.stack.logfiles import tail
from services.tools.stack.plan import Addresses, Plan, stack_plan
from services.tools.stack.portcheck import check_ports, find_free_base
from services.tools.stack.rooms import ROOM_NAMES
from services.tools.stack.settings import PORT_SPAN, StackSettings
from services.tools.stack.status import (
    Phase,
    StackStatus,
    read_live_status,
    read_status,
    run_directory,
)

STOP_TIMEOUT_S: Final = 90.0
"""For the whole stack, more than its layers need one after the other; then SIGKILL for all."""
PORTS_WAIT_S: Final = 5.0
"""The children of a killed supervisor may take a moment to leave their ports."""
_POLL_S: Final = 0.1

type Watch = Callable[[StackStatus], None]
"""Called with each new status while the stack starts or stops."""


class Stack:
    """One supervisor and what it runs, by its home. Any process may hold one and ask or stop it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._home = plan.home_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def addresses(self) -> Addresses:
        return self.plan.addresses

    @property
    def home(self) -> Path:
        """Where its data is; what it runs has it as OUTCRY_HOME."""
        return self._home

    @property
    def log(self) -> Path:
        """The supervisor's own log."""
        return self._home / "logs" / "supervisor.log"

    def status(self) -> StackStatus | None:
        """What runs now; None if no supervisor does."""
        return read_live_status(self._home)

    def start(
        self, *, detach: bool = False, watch: Watch | None = None, report: Report | None = None
    ) -> StackStatus:
        """Fetch what is missing, start everything, return once all of it is ready.

        Blocks, at the first start for as long as the downloads take. Unless detached, the stack
        stops when the calling thread ends. Data of an earlier run is kept.
        Raises a StackError: FetchError, AlreadyRunningError, PortTakenError or StartError.
        """
        self.fetch(report or (lambda _line: None))
        for directory in (run_directory(self._home), self.log.parent):
            directory.mkdir(parents=True, exist_ok=True)
        with _home_lock(self._home) as lock:
            self._check_ports()
            self._hand_over_plan()
            self._process = self._spawn_supervisor(lock, detach=detach)
        try:
            return self._await_start(self._process, watch)
        except BaseException:
            self.stop(watch=watch)
            raise

    def stop(self, *, watch: Watch | None = None, hurry: bool = False) -> bool:
        """Stop everything and wait for it; False if nothing ran.

        Whoever asks while a stop goes on waits for that one; `hurry` kills what has not stopped.
        """
        supervisor = self._supervisor()
        if supervisor is None:
            self._reap()
            return False
        send_signal(supervisor, signal.SIGINT if hurry else signal.SIGTERM)
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        seen: StackStatus | None = None
        while is_alive(supervisor):
            if time.monotonic() > deadline_s:
                send_signal(supervisor, signal.SIGKILL)  # takes its children with it
            seen = _tell(watch, seen, read_status(self._home))
            time.sleep(_POLL_S)
        _tell(watch, seen, read_status(self._home))
        self._reap()
        return True

    def wait(self, watch: Watch | None = None) -> StackStatus | None:
        """Block until the supervisor ends; its last word."""
        supervisor = self._supervisor()
        seen: StackStatus | None = read_status(self._home)
        while supervisor is not None and is_alive(supervisor):
            seen = _tell(watch, seen, read_status(self._home))
            time.sleep(5 * _POLL_S)
        self._reap()
        return read_status(self._home)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # --- steps of start ------------------------------------------------------------------

    def fetch(self, report: Report) -> None:
        """Download what the plan needs and is not there; blocks. Raises FetchError."""
        components = Path(self.plan.components)
        for name, download in (("kafka", KAFKA), ("registry", REGISTRY)):
            if name in self.plan.infra:
                fetch(download, components, report)

    def _check_ports(self) -> None:
        deadline_s = time.monotonic() + PORTS_WAIT_S
        while self._leftovers_live() and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
        check_ports(ports_of(self.plan), self.plan.port_base)

    def _leftovers_live(self) -> bool:
        kept = (read_pid_file(path) for path in run_directory(self._home).glob("*.pid"))
        return any(identity is not None and is_alive(identity) for identity in kept)

    def _hand_over_plan(self) -> None:
        path = run_directory(self._home) / "plan.json"
        # The database's address may hold a password.
        with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(msgspec.json.encode(self.plan))
        (run_directory(self._home) / "status.json").unlink(missing_ok=True)

    def _spawn_supervisor(self, lock: int, *, detach: bool) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "services.tools.stack", str(self._home)]
        if not detach:
            argv += ["--with-parent", str(os.getpid())]
        with self.log.open("ab") as output:
            return subprocess.Popen(
                argv,
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the caller, who then stops us in order
                pass_fds=(lock,),
            )

    def _await_start(self, process: subprocess.Popen[bytes], watch: Watch | None) -> StackStatus:
        seen: StackStatus | None = None
        while True:
            ended = process.poll() is not None
            status = read_status(self._home)
            seen = _tell(watch, seen, status)
            if status is not None and status.phase is Phase.UP:
                return status
            if ended:
                raise self._start_error(status)
            time.sleep(_POLL_S)

    def _start_error(self, status: StackStatus | None) -> StartError:
        if status is not None and status.failed:
            row = status.row(status.failed)
            return StartError(
                f"{status.failed} {status.cause}; its log says more: {row.log}",
                tail(Path(row.log)),
            )
        return StartError(f"the supervisor ended early; see {self.log}", tail(self.log))

    # --- the supervisor ------------------------------------------------------------------

    def _supervisor(self) -> ProcessIdentity | None:
        if self._process is not None:
            return identify(self._process.pid)
        status = self.status()
        return None if status is None else status.supervisor

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None


class RoomSet(Stack):
    """More rooms on the infrastructure of a running stack: other topics and ports.

    Its home is inside the stack's. The topic prefix also tells its rows in the database apart.
    """

    def __init__(
        self,
        settings: StackSettings,
        topic_prefix: str,
        rooms: tuple[str, ...] = ROOM_NAMES,
        port_base: int | None = None,
        *,
        standby: bool = False,
        gateways: int = 1,
    ) -> None:
        name = topic_prefix.strip(".-")
        if not name:
            raise StackError("a second set of rooms needs a topic prefix of its own")
        if port_base is None:
            above = settings.port_base + PORT_SPAN
            port_base = find_free_base(range(above, 64000, PORT_SPAN))
        super().__init__(
            Plan(
                home=str(settings.home / "sets" / name),
                port_base=port_base,
                components=str(settings.components),
                addresses=stack_plan(settings, rooms).addresses,
                topic_prefix=topic_prefix,
                infra=(),
                rooms=rooms,
                frozen_timeout_s=settings.frozen_timeout_s,
                standby=standby,
                gateways=gateways,
            )
        )


@contextmanager
def running_stack(settings: StackSettings, rooms: tuple[str, ...] = ROOM_NAMES) -> Iterator[Stack]:
    """A stack for the length of a `with`; `rooms=()` for the infrastructure alone."""
    with Stack(stack_plan(settings, rooms)) as stack:
        yield stack


@contextmanager
def _home_lock(home: Path) -> Iterator[int]:
    """Hold the home's lock; a child that inherits the descriptor holds it on."""
    descriptor = os.open(run_directory(home) / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take_lock(descriptor, home)
        yield descriptor
    finally:
        os.close(descriptor)


def _take_lock(descriptor: int, home: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        status = read_live_status(home)
        pid = f", pid {status.supervisor.pid}" if status is not None else ""
        if status is not None and status.phase is Phase.STOPPING:
            raise AlreadyRunningError(
                f"the stack in {home}{pid} is still stopping: `outcry down` waits for its end"
            ) from None
        raise AlreadyRunningError(
            f"a stack runs in {home}{pid}: `outcry status` shows it, `outcry down` stops it"
        ) from None


def _tell(
    watch: Watch | None, seen: StackStatus | None, status: StackStatus | None
) -> StackStatus | None:
    """Pass on what is new; the latest either way."""
    if watch is not None and status is not None and status != seen:
        watch(status)
    return status if status is not None else seen
