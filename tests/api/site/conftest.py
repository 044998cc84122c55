"""The API of `tests/api`, for its pages."""

from tests.api.conftest import api, database_url, no_error_of_the_server

__all__ = ["api", "database_url", "no_error_of_the_server"]  # fixtures
