"""The routes by which people end their accounts, and keep them after all."""

from litestar import Router, delete, post
from litestar.params import JSONBody

from application.accounts import ACCOUNT_LEAVE
from application.identity import Deletion, DeletionRequest
from application.ports.identity import UserView
from application.scopes import SESSION
from entrypoints.http.facts import Facts
from entrypoints.http.request import ApiRequest


def deletion_routes(deletion: Deletion) -> Router:
    """The routes `DELETE /me` and `POST /me/restore`."""

    @delete("/me", status_code=202, facts=Facts(example={"password": "correct horse battery"}, refuses={409}))
    async def delete_me(request: ApiRequest, data: JSONBody[DeletionRequest]) -> UserView:
        """Let the account be deleted at `deletion_due_at`, given its password. Every session ends, including this one.

        409 `sole_owner` lists as `workspaces` those in which there are others and which only the caller owns.
        """
        return await deletion.request(request.actor, data)

    @post("/me/restore", status_code=200, facts=Facts(scope=ACCOUNT_LEAVE))
    async def restore_me(request: ApiRequest) -> UserView:
        """Keep the account after all. The next use of the refresh cookie gives a token that may do everything again."""
        return await deletion.restore(request.actor)

    return Router("/", route_handlers=[delete_me, restore_me], tags=["identity"], opt={"scopes": (SESSION, SESSION)})
