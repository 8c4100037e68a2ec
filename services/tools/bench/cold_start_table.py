"""The cold start's figures as people read them."""

from rich.table import Table

from services.tools.bench.cold_start import PROJECTED_COMMANDS, ColdStartReport, project


def cold_start_tables(report: ColdStartReport) -> list[Table]:
    """What was measured, what it says of larger logs, and the sizes."""
    measured = Table(
        "room", "from", "commands", "records", "seconds", "spread", "CPU s", "records/CPU s", "MiB",
        title="cold start, measured",
    )  # fmt: skip
    for one in report.starts:
        measured.add_row(
            one.room,
            one.source,
            f"{one.commands:,}",
            f"{one.records:,}",
            f"{one.median_s:.2f}",
            f"{one.min_s:.2f} to {one.max_s:.2f}",
            f"{one.cpu_s:.2f}",
            f"{one.records / one.cpu_s:,.0f}",
            f"{one.grown_mib:.0f}",
        )
    names = [f"{commands // 1_000_000} M commands" for commands in PROJECTED_COMMANDS]
    projected = Table("room", "from", *names, title="cold start, projected, a core for each room")
    larger = [project(report, commands) for commands in PROJECTED_COMMANDS]
    for row in zip(*larger, strict=True):
        projected.add_row(row[0].room, row[0].source, *(_duration(one.seconds) for one in row))
    sizes = Table("what", "bytes", "a command", title="sizes")
    rows = {f"{topic}, keys and values": size for topic, size in report.log_bytes.items()}
    rows |= {f"newest snapshots of {room}": size for room, size in report.snapshot_bytes.items()}
    rows["archive in PostgreSQL"] = report.archive_bytes
    for name, size in rows.items():
        sizes.add_row(name, f"{size:,}", f"{size / report.commands:,.0f}")
    return [measured, projected, sizes]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.1f} h"
