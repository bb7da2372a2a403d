"""The routes by which people get a file with all that there is of them."""

from litestar import Router, get, post
from litestar.params import FromPath
from litestar.response import Stream

from application.accounts import ACCOUNT_LEAVE
from application.exports import Exports
from application.paging import Page
from application.ports.exports import ExportView
from domain.ids import ExportId
from entrypoints.http.facts import Facts
from entrypoints.http.request import ApiRequest

ZIP = "application/zip"


def export_routes(exports: Exports) -> Router:
    """The routes `/me/export`."""

    @post("/me/export", status_code=202, facts=Facts(refuses={409}))
    async def export_me(request: ApiRequest) -> ExportView:
        """Begin to make a file with all that there is of the account. `export.ready` tells when it can be fetched."""
        return await exports.request(request.actor)

    @get("/me/export")
    async def list_exports(request: ApiRequest) -> Page[ExportView]:
        """The exports that are being made or can be fetched, the newest first."""
        return await exports.page(request.actor)

    @get("/me/export/{id:uuid}", media_type=ZIP, facts=Facts(file=ZIP, is_secret=True))
    async def fetch_export(request: ApiRequest, id: FromPath[ExportId]) -> Stream:
        """The file: a zip archive of JSON. It can be fetched for a day, by the owner alone."""
        disposition = f'attachment; filename="signalbox-{id}.zip"'
        archive = await exports.fetch(request.actor, id)
        return Stream(archive, media_type=ZIP, headers={"Content-Disposition": disposition})

    return Router(
        "/",
        route_handlers=[export_me, list_exports, fetch_export],
        tags=["exports"],
        opt={"about": "A file with all that there is of somebody.", "scopes": (ACCOUNT_LEAVE, ACCOUNT_LEAVE)},
    )
