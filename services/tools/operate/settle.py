"""Ask, print what came back, and fail if it is a refusal."""

from services.tools.operate.ask import Question, ask
from services.tools.operate.exchange import Exchange
from services.tools.operate.present import print_answers
from services.tools.operate.questions import require_accepted


def settle(exchange: Exchange, question: Question, timeout_s: float, *, as_json: bool) -> None:
    """Returns only if the exchange did what was asked.

    Raises:
        RefusedError: it did not; the answer has been printed.
        NoAnswerError: no answer in time.
        UnreachableError: Kafka can't be reached.
    """
    answers = ask(exchange, question, timeout_s)
    print_answers(question.command_id, answers, as_json=as_json)
    require_accepted(answers)
