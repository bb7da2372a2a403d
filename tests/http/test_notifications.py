"""Notifications as their owner meets them: over HTTP, and live on each device."""

from typing import Any

import httpx

from entrypoints.container import Container
from tests.contracts.house import eventually
from tests.http.operations import notified
from tests.http.test_problems import problem
from tests.support.clients import Json, Person, done, listening

FORM = "application/x-www-form-urlencoded"


async def commented(ada: Person, bob: Person, text: str = "Why?") -> Json:
    """What Ada is told when Bob has commented on a task of hers."""
    team = (await ada.create_team())["id"]
    await ada.admit(bob, team)
    task = await ada.open_task(workspace_id=team)
    done(await bob.post(f"/tasks/{task['id']}/comments", {"text": text}))
    return await notified(ada)


async def test_a_comment_is_told_counted_read_and_removed(ada: Person, bob: Person) -> None:
    told = await commented(ada, bob)
    assert told["title"].endswith("Write the rollout plan")
    assert (told["type"], told["count"], told["actor_id"], told["read_at"]) == ("task.commented", 1, bob.id, None)
    assert told["details"].keys() == {"comment_id"}
    assert done(await ada.get("/notifications/unread-count")) == {"unread": 1}
    path = f"/notifications/{told['id']}"
    read = done(await ada.patch(path, {"read": True}))
    assert read["read_at"] is not None
    assert done(await ada.get("/notifications", params={"unread": "true"}))["data"] == []
    assert done(await ada.patch(path, {"read": False}))["read_at"] is None
    assert done(await ada.post("/notifications/read-all", {"before": "0001-01-01T00:00:00+23:59"})) == {"unread": 1}
    assert done(await ada.post("/notifications/read-all", {"before": told["updated_at"]})) == {"unread": 0}
    assert done(await ada.post("/notifications/read-all", {"before": "9999-12-31T23:59:59-23:59"})) == {"unread": 0}
    problem(await bob.delete(path), 404, "not_found")
    assert (await ada.delete(path)).status_code == 204
    assert done(await ada.get("/notifications"))["data"] == []


async def test_a_second_device_hears_what_is_made_and_read(live_url: str, grace: Person, linus: Person) -> None:
    async with listening(live_url, grace.token, "me") as device:
        told = await commented(grace, linus)
        made = (await device.event("notification.created"))["event"]
        assert (made["resource"]["id"], made["data"]["title"]) == (told["id"], told["title"])
        done(await grace.patch(f"/notifications/{told['id']}", {"read": True}))
        assert (await device.event("notification.read"))["event"]["resource"]["id"] == told["id"]
        done(await grace.post("/notifications/read-all", {"before": told["updated_at"]}))
        assert (await device.event("inbox.read"))["event"]["data"] == {"before": told["updated_at"]}


async def test_preferences_are_read_replaced_and_held_to_their_version(http: httpx.AsyncClient, ada: Person) -> None:
    path = "/notification-preferences"
    before = await ada.get(path)
    assert done(before)["types"]["task.commented"] == {
        "description": "Somebody commented on a task that you watch.",
        "in_app": True,
        "email": False,
        "always": False,
    }
    wanted = {"types": {"task.commented": {"in_app": False, "email": True}}, "digest": "hourly"}
    done(await ada.put(path, json=wanted, headers={"If-Match": before.headers["ETag"]}))
    problem(await ada.put(path, json={}, headers={"If-Match": before.headers["ETag"]}), 412, "version_conflict")
    kept = done(await ada.get(path))
    assert (kept["types"]["task.commented"]["in_app"], kept["digest"], kept["quiet_hours"]) == (False, "hourly", None)
    done(await ada.put(path, json={}))
    assert done(await ada.get(path))["types"] == done(before)["types"]


async def test_preferences_that_cannot_be_are_refused(ada: Person) -> None:
    path = "/notification-preferences"
    for body, pointer, code in (
        ({"types": {"task.eaten": {"in_app": True, "email": True}}}, "/types/task.eaten", "validation_failed"),
        ({"quiet_hours": {"begin": "22:00", "end": "22:00"}}, "/quiet_hours/end", "validation_failed"),
        ({"quiet_hours": {"begin": "24:00", "end": "07:00"}}, "/quiet_hours/begin", "validation_failed"),
        ({"digest": "weekly"}, "/digest", "validation_failed"),
    ):
        said = problem(await ada.put(path, json=body), 422, code)
        assert said["errors"][0]["pointer"] == pointer


async def test_an_address_in_a_letter_ends_letters_without_signing_in(
    ada: Person, bob: Person, house: Container
) -> None:
    team = (await ada.create_team())["id"]
    await ada.admit(bob, team)
    await ada.open_task(workspace_id=team, assignee_ids=[bob.id])
    mailer = house.mailer()
    await eventually(lambda: any(each.letter.to == bob.email for each in mailer.sent))
    (letter,) = [each.letter for each in mailer.sent if each.letter.to == bob.email]
    path = letter.unsubscribe.removeprefix(house.settings().public_url)
    page = await ada.http.get(path)
    assert page.headers["content-type"].startswith("text/html")
    assert '<form method="post">' in page.text
    one_click: dict[str, Any] = {
        "content": "List-Unsubscribe=One-Click",
        "headers": {"Content-Type": FORM},
    }
    for _ in range(2):
        assert (await ada.http.post(path, **one_click)).status_code == 200
    types = done(await bob.get("/notification-preferences"))["types"]
    assert not types["task.assigned"]["email"]
    assert types["security.password_changed"]["email"]
    for method in ("GET", "POST"):
        problem(await ada.http.request(method, f"{path}x"), 404, "not_found")
    problem(await ada.http.post("/api/v1/auth/logout", **one_click), 415, "unsupported_media_type")
