"""The application: routes, and one form for every answer that is none."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from rfm.serving import documents
from rfm.serving.guard import Guard
from rfm.serving.problems import Problem
from rfm.serving.routes import asking, operation, robometer, track
from rfm.serving.service import Service


def made_app(service: Service) -> ASGIApp:
    """Return the application of a service that was started."""
    app = FastAPI(
        title="RFM reward server",
        version="1",
        description=documents.ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_tags=documents.TAGS,
    )
    app.state.service = service
    for router in (asking.router, track.router, robometer.router, operation.router):
        app.include_router(router)
    app.add_exception_handler(Problem, _said)
    app.add_exception_handler(HTTPException, _said)
    documents.add_security(app)
    return Guard(app, service)


async def _said(request: Request, error: Exception) -> Response:
    number = request.state.request_id
    if isinstance(error, Problem):
        return error.response(number)
    assert isinstance(error, HTTPException)
    return Problem(error.status_code, str(error.detail)).response(number, error.headers)
