"""The client in Python keeps every promise of a client."""

from tests.end_to_end.client_promises import ClientPromises
from tests.end_to_end.drivers import python_driver


class TestPythonClient(ClientPromises):
    driving = staticmethod(python_driver)
