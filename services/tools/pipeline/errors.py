"""Why a pipeline stopped, or can't start. The message names the step and what to do.

PipelineError
├── StepFailedError   a step raised; the ones before it are kept
└── RunLockedError    another process works on the same run
"""

from services.runtime.errors import FatalError


class PipelineError(FatalError):
    """One line: the cause and the next step."""


class StepFailedError(PipelineError):
    """A step raised; the ones before it are kept."""


class RunLockedError(PipelineError):
    """Another process works on the same run."""
