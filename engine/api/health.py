"""/healthz, /readyz, /metrics: for whoever keeps the engine running."""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from engine.api.admission import Admission
from engine.api.metrics import Metrics
from engine.api.problems import Problem, ProblemKind
from engine.api.routes import Route, answer
from engine.version import tool_version

_METRICS_TYPE = "text/plain"


class Health(BaseModel):
    """The process answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: str = "ok"
    version: str


def routes(admission: Admission, metrics: Metrics) -> tuple[Route, ...]:
    """Return the routes of this resource."""

    async def healthz(request: web.Request) -> web.StreamResponse:
        return answer(Health(version=tool_version()))

    async def readyz(request: web.Request) -> web.StreamResponse:
        if not admission.ready:
            raise Problem(ProblemKind.NOT_READY, admission.why_not_ready, headers={"Retry-After": "5"})
        return answer(Health(version=tool_version()))

    async def show_metrics(request: web.Request) -> web.StreamResponse:
        return web.Response(body=metrics.text(), headers={"Content-Type": metrics.content_type})

    return (
        Route("GET", "/healthz", healthz, "Tell that the process runs.", {200: Health}, role=None),
        Route(
            "GET",
            "/readyz",
            readyz,
            "Tell whether reviews are taken on.",
            {200: Health},
            role=None,
            problems=(ProblemKind.NOT_READY,),
        ),
        Route("GET", "/metrics", show_metrics, "Measurements for Prometheus.", {200: _METRICS_TYPE}),
    )
