"""What Kafka's own tool prints about hanging transactions, read and acted on."""

from collections.abc import Sequence

from services.tools.stack.hanging import ABORTED_MAX, Hanging, end_hanging, find_hanging

# As the tool of Kafka 4.3.1 printed it after a crash.
PRINTED = (
    "Topic             \tPartition\tProducerId\tProducerEpoch\tCoordinatorEpoch\tStartOffset\t"
    "LastTimestamp\tDuration(min)\t\n"
    "faults.accounts   \t3        \t1171      \t6            \t2               \t1509       \t"
    "1795656369386\t4            \t\n"
    "__consumer_offsets\t1        \t1171      \t6            \t2               \t999        \t"
    "1795656369406\t4            \t\n"
)


class Tool:
    def __init__(self, printed: str) -> None:
        self.printed = printed
        self.asked: list[list[str]] = []

    def __call__(self, arguments: Sequence[str]) -> str:
        self.asked.append(list(arguments))
        return self.printed if arguments[0] == "find-hanging" else ""


def test_each_end_that_the_tool_lists_is_aborted_by_where_it_began() -> None:
    tool, said = Tool(PRINTED), list[str]()
    assert find_hanging(tool) == [
        Hanging("faults.accounts", 3, 1509),
        Hanging("__consumer_offsets", 1, 999),
    ]
    assert end_hanging(tool, said.append) == 2
    assert tool.asked[-2] == [
        "abort", "--topic", "faults.accounts", "--partition", "3", "--start-offset", "1509",
    ]  # fmt: skip
    assert said[1] == "aborting __consumer_offsets/1 from offset 999"


def test_where_nothing_hangs_nothing_is_aborted() -> None:
    for printed in ("", PRINTED.splitlines()[0] + "\n", "No transactions found\n"):
        tool = Tool(printed)
        assert end_hanging(tool, lambda _: None) == 0
        assert len(tool.asked) == 1


def test_what_is_aborted_in_one_round_is_bounded() -> None:
    head, row, _ = PRINTED.splitlines()
    tool = Tool("\n".join([head, *([row] * (ABORTED_MAX + 10))]))
    assert end_hanging(tool, lambda _: None) == ABORTED_MAX
