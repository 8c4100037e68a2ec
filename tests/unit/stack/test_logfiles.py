from pathlib import Path

from services.tools.stack.logfiles import rotate, tail


def test_a_log_that_is_too_large_moves_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "it.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(5):
            writer.write(b"%d" % number * 100)
            assert rotate(log, bytes_max=50, kept=3)
        writer.write(b"last")
    assert log.read_bytes() == b"last"
    older = [(tmp_path / f"it.log.{age}").read_bytes() for age in (1, 2, 3)]
    assert older == [b"4" * 100, b"3" * 100, b"2" * 100]
    assert not (tmp_path / "it.log.4").exists()


def test_a_small_log_stays_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "it.log"
    log.write_bytes(b"x" * 50)
    assert not rotate(log, bytes_max=50)
    assert not rotate(tmp_path / "absent.log")


def test_the_tail_is_the_last_lines_even_of_bytes_that_are_no_text(tmp_path: Path) -> None:
    log = tmp_path / "it.log"
    log.write_bytes(b"first\n" * 10_000 + b"last but one\n\xff last\n")
    assert tail(log, lines_max=2).splitlines() == ["last but one", "� last"]
    assert tail(tmp_path / "absent.log") == ""
