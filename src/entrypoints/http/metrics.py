"""The route that Prometheus scrapes."""

from hmac import compare_digest

from litestar import Response, Router, get

from domain.errors import NotFound, Unauthenticated
from entrypoints.http.request import ApiRequest
from entrypoints.metrics import Exposition
from entrypoints.probe import METRICS_TYPE


def metrics_routes(exposition: Exposition, token: str, in_production: bool) -> Router:
    """`/metrics`, guarded by `token`. Without a token it is open, except in production, where it is NotFound."""
    expected = f"Bearer {token}".encode()

    @get("/metrics", include_in_schema=False)
    async def metrics(request: ApiRequest) -> Response[bytes]:
        if not token and in_production:
            raise NotFound
        if token and not compare_digest(request.headers.get("authorization", "").encode(), expected):
            raise Unauthenticated("This needs the token of METRICS_TOKEN.")
        return Response(exposition(), media_type=METRICS_TYPE)

    return Router("/", route_handlers=[metrics])
