"""The client in Python keeps every promise of a client."""

import asyncio

from websockets.protocol import State

from application.realtime.frames import GoingAway, Unsubscribed
from entrypoints.websocket.wire import JSON_FRAMES
from tests.end_to_end.client_promises import ClientPromises, Scene
from tests.end_to_end.drivers import PythonDriver, python_driver
from tests.support.clients import until

# More than a connection takes in before somebody asks for it, so that it reads no further.
MANY = 100
# Less than the library waits for the answer to its goodbye.
PATIENCE_SECONDS = 5.0
SOMETHING = JSON_FRAMES.frame(Unsubscribed("typing:task:0195f3a2-7c41-7b3e-9d52-3f6a1c2b4d5e", "forbidden"))


class TestPythonClient(ClientPromises):
    driving = staticmethod(python_driver)

    async def test_a_goodbye_does_not_wait_for_what_nobody_takes_any_more(self, scene: Scene) -> None:
        assert isinstance(scene.driver, PythonDriver)
        (connection,) = scene.house.live()._connections
        connection.write(SOMETHING * MANY)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await scene.driver.client.close()

    async def test_a_connection_that_was_left_is_closed_whatever_it_still_brings(self, scene: Scene) -> None:
        assert isinstance(scene.driver, PythonDriver)
        client = scene.driver.client
        (connection,) = scene.house.live()._connections

        async def token() -> str:
            connection.write(SOMETHING * MANY)  # it is not listened to any more, and not closed yet
            return scene.ada.token

        left, client._token, client._known_token = client._socket, token, None
        connection.write(JSON_FRAMES.frame(GoingAway(0)))
        await until(lambda: client._socket is not left)
        assert left is not None
        await until(lambda: left.state is State.CLOSED, seconds=PATIENCE_SECONDS)
