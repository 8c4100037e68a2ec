"""What `outcry bench gateway` is compared with: a FastAPI route that checks an order's shape.

It takes the gateway's own request as an ordinary pydantic model, writes nothing, and answers what
the gateway answers; uvicorn, uvloop and httptools are those of the gateway. Its argument is a port.
"""

import sys
from typing import Annotated, Literal

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from services.door.serving import QuietServer, listen, run_loop

_STALL_MS = 30_000


class BareOrder(BaseModel):
    """The gateway's order, by nothing but annotations."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    client_order_id: Annotated[str, Field(min_length=1, max_length=64)]
    ticker: Annotated[str, Field(min_length=1, max_length=12)]
    side: Literal["BUY", "SELL"]
    order_type: Literal["MARKET", "LIMIT"]
    time_in_force: Literal["GTC", "IOC", "FOK"]
    post_only: bool = False
    price: Annotated[str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,4})?$")] | None = None
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]


class BarePlaced(BaseModel):
    order_id: str
    client_order_id: str
    status: str


def bare_app() -> FastAPI:
    """The application, with one route."""
    app = FastAPI(docs_url=None, redoc_url=None)

    @app.post("/orders", status_code=202)
    async def place(order: BareOrder) -> BarePlaced:
        return BarePlaced(
            order_id=f"{order.ticker}-7f6f2f0c-3c43-5d0b-9c4e-6d9cf8a7b1aa",
            client_order_id=order.client_order_id,
            status="PENDING_NEW",
        )

    @app.get("/healthz")
    async def is_there() -> dict[str, str]:
        return {"status": "ok"}

    return app


if __name__ == "__main__":
    listener = listen("127.0.0.1", int(sys.argv[1]), "another port", _STALL_MS)
    config = uvicorn.Config(
        bare_app(), lifespan="off", log_config=None, access_log=False, server_header=False
    )
    run_loop(QuietServer(config).serve(sockets=[listener]))
