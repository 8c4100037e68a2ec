"""Where an operator's control becomes durable in `controls`, or a problem says why not."""

from services.domain.controls import Control
from services.gateway.ports import CommandLog, LogUnavailableError, OutcomeUnknownError
from services.gateway.problems import HttpReason, problem
from services.runtime.telemetry import Telemetry
from services.wire.codec import Codec
from services.wire.topics import CONTROLS


class ControlDesk:
    """Takes controls in HTTP's name. Called from the event loop."""

    def __init__(self, codec: Codec, log: CommandLog, telemetry: Telemetry) -> None:
        self._codec = codec
        self._log = log
        self._telemetry = telemetry
        self.stopping = False

    async def take(self, control: Control, key_id: str) -> None:
        """Return once the control is durable; who asked for it stands in this process's log.

        Raises:
            ProblemError: STOPPING or LOG_UNAVAILABLE, and it was not written; OUTCOME_UNKNOWN.
        """
        if self.stopping:
            raise problem(HttpReason.STOPPING, "nothing was written; send it again shortly")
        kind, command_id = type(control).__name__, control.client_command_id
        value = self._codec.encode_command(CONTROLS.name, control)
        try:
            await self._log.append(0, b"", value)
        except LogUnavailableError as error:
            raise problem(
                HttpReason.LOG_UNAVAILABLE, f"nothing was written ({error}); send it again"
            ) from error
        except OutcomeUnknownError as error:
            raise problem(
                HttpReason.OUTCOME_UNKNOWN,
                f"not confirmed ({error}). Send it again with the same client_command_id: what is"
                " there already is not done twice",
                members={"client_command_id": command_id},
            ) from error
        self._telemetry.log.info(
            "control_taken", control=kind, client_command_id=command_id, key_id=key_id
        )
