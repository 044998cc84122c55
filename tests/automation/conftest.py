"""The installation of `tests/assets`, here too."""

from tests.assets.conftest import installation

__all__ = ["installation"]
