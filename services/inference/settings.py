"""What inference is told from outside, beside what every room is told."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from services.door.serving import only_loopback
from services.models.classes import HORIZON_S
from services.models.settings import MLFLOW_URL_PATTERN
from services.online.address import ONLINE_URL_PATTERN
from services.runtime.settings import RoomSettings


class InferenceSettings(RoomSettings):
    """Read once, at start. Limits are per process; each bounds some memory or some waiting."""

    home: Path
    """Where the models, the lake and Feast's files are."""
    online_url: str = Field(default="", pattern=ONLINE_URL_PATTERN)
    """`redis://[:password@]host:port[/db]`; empty: SQLite under the home."""
    mlflow_url: str = Field(default="", pattern=MLFLOW_URL_PATTERN)
    """Of the model registry; empty: SQLite under the home."""
    inference_host: str = "127.0.0.1"
    """Loopback only: nobody proves who they are."""
    inference_port: int = Field(default=19_082, ge=0, le=65_535)
    """0: any free one."""
    inference_horizon_s: int = Field(default=HORIZON_S, ge=1, le=86_400)
    """Which registered model answers: the one of this horizon."""
    inference_poll_interval_s: float = Field(default=5.0, ge=0.1, le=3_600)
    """How often the registry is asked which version has which alias."""
    inference_feature_age_s_max: int = Field(default=30, ge=0, le=10_000_000_000)
    """Rows of features that are older are stale; 0: any age will do, and any future, as in replays
    of history."""
    inference_feature_ahead_s_max: int = Field(default=5, ge=1, le=10_000_000_000)
    """Rows that are further ahead of this machine's clock are not predicted from."""
    inference_unfit_policy: Literal["refuse", "degrade"] = "refuse"
    """Of rows that are stale, of the future or have undefined features. `refuse`: the request is
    answered with 503. `degrade`: a stale row is predicted from and the answer says so; for the
    others the answer says that there is no prediction. Nothing is ever filled in."""
    inference_canary_percent: int = Field(default=0, ge=0, le=100)
    """So many of a hundred requests are answered by the challenger, if there is one."""
    inference_shadow: bool = True
    """Score the shadow model, if there is one, on the same rows. It is never in an answer."""
    inference_shadow_waiting_max: int = Field(default=100, ge=1)
    """Most requests that wait for the shadow model; further ones it does not see."""
    inference_tickers_max: int = Field(default=100, ge=1, le=1_000)
    """Most tickers of one request."""
    inference_body_bytes_max: int = Field(default=16_384, ge=256)
    inference_body_timeout_ms: int = Field(default=5_000, ge=10)
    """Longest wait for a request's body."""
    inference_requests_max: int = Field(default=200, ge=1)
    """Most HTTP requests under way; more are told to come back."""
    inference_threads: int = Field(default=2, ge=1, le=64)
    """Which read features, predict and explain; an online store that hangs holds them, and with
    them /predict and /explain, never the rest."""
    inference_vector_threads: int = Field(default=1, ge=1, le=64)
    """Which predict for given features; they wait for no store."""
    inference_answer_timeout_ms: int = Field(default=2_000, ge=10)
    """Longest wait for features and model."""
    inference_reload_timeout_ms: int = Field(default=30_000, ge=10)
    """Longest wait for a look at the registry that somebody asked for."""
    inference_check_timeout_ms: int = Field(default=60_000, ge=10)
    """Longest wait for the process that asks the registry and checks models."""
    inference_model_ms_max: float = Field(default=5.0, gt=0)
    """A model that takes longer for one row (the median of some) is refused."""
    inference_unsent_max: int = Field(default=10_000, ge=1)
    """Most predictions that wait for the log; then requests are refused."""
    inference_stream: bool = False
    """Predict for each new row of the champion's feature set too; `outcry up` turns it on."""

    @field_validator("inference_host")
    @classmethod
    def _only_loopback(cls, host: str) -> str:
        return only_loopback(host)
