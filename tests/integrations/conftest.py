"""The web's small sky, for what other programs ask of it."""

from tests.stages.conftest import *  # noqa: F403
from tests.web.conftest import access, sky, written

__all__ = ["access", "sky", "written"]
