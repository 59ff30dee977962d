"""The web's small sky, for what other programs ask of it."""

from tests.stages.conftest import *  # noqa: F403
from tests.web.conftest import access, library, sky, written

__all__ = ["access", "library", "sky", "written"]
