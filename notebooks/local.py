"""The public `alerce` client, pointed at a server of one's own: ALERCE_SERVER, by default this machine's."""

import json
import os
import tempfile
from importlib import resources
from pathlib import Path

SERVER = os.environ.get("ALERCE_SERVER", "http://127.0.0.1:8000").rstrip("/")


def client():
    """An `alerce.core.Alerce` that asks SERVER; its configuration is read when the module is first imported."""
    config = json.loads((resources.files("alerce") / "default_config.json").read_text())
    config["ztf"]["ZTF_API_URL"] = SERVER
    config["stamps_ztf"]["AVRO_URL"] = SERVER
    file = Path(tempfile.mkdtemp()) / "alerce.json"
    file.write_text(json.dumps(config))
    os.environ["ALERCE_CONFIG_PATH"] = str(file)
    from alerce.core import Alerce

    return Alerce()
