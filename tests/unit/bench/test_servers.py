"""Servers that benchmarks ask: what they took is counted whoever of them took it."""

import subprocess
import sys

from services.tools.bench.servers import Server

BURNT_S = 0.3
WORKER = f"import time\nwhile time.process_time() < {BURNT_S}: pass"
MASTER = (
    "import subprocess, sys, time\n"
    f"subprocess.run([sys.executable, '-c', {WORKER!r}])\n"
    "print('replaced', flush=True)\n"
    "time.sleep(60)\n"
)


def test_what_a_worker_took_counts_after_it_was_replaced() -> None:
    master = subprocess.Popen([sys.executable, "-c", MASTER], stdout=subprocess.PIPE)
    try:
        assert master.stdout is not None
        assert master.stdout.readline() == b"replaced\n"
        assert Server(0, master.pid).cpu_s() >= BURNT_S
    finally:
        master.kill()
        master.communicate()
