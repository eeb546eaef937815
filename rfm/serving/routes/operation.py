"""What runs a server looks at: `/health`, `/ready`, `/metrics`, `/v1/models`, `/v1/reload`, and the documentation."""

from __future__ import annotations

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rfm.serving import documents
from rfm.serving.page import page
from rfm.serving.problems import unavailable
from rfm.serving.routes.taking import as_json, service_of

router = APIRouter(tags=["operation"])


@router.get("/health", **documents.HEALTH)
async def health(request: Request) -> Response:
    """Whether the server lives, and how many workers it has (called GPUs, as clients of Robometer know them)."""
    fleet = service_of(request).fleet
    return as_json({"status": "healthy", "available_gpus": fleet.idle, "total_gpus": len(fleet.workers)})


@router.get("/ready", **documents.READY)
async def ready(request: Request) -> Response:
    """Whether questions can be answered now: for load balancers."""
    service = service_of(request)
    if not service.ready:
        raise unavailable("no worker is there; it is being started" if not service.stopping else "it is ending", 1)
    return as_json({"status": "ready", "workers": service.fleet.alive})


@router.get("/metrics", **documents.METRICS)
async def metrics(request: Request) -> Response:
    """Counters for Prometheus."""
    return Response(service_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/models", **documents.MODELS)
async def models(request: Request) -> Response:
    """The model that answers, and how frames are best brought to it."""
    return as_json({"models": [service_of(request).fleet.description.to_json()]})


@router.post("/v1/reload", **documents.RELOAD)
async def reload(request: Request) -> Response:
    """Load what lies at `--model` now, without dropping a request; as SIGHUP does."""
    service = service_of(request)
    changed = await service.reload()
    return as_json({"changed": changed, "model": service.fleet.description.fingerprint})


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The documentation, as one page that needs nothing from elsewhere."""
    return HTMLResponse(page(request.app.openapi(), str(request.base_url).rstrip("/")))


@router.get("/", include_in_schema=False)
async def root() -> Response:
    """Lead to the documentation."""
    return RedirectResponse("/docs")
