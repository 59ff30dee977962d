"""What docs/live.md says of warm workers is a configuration that Dagster takes."""

import re
from pathlib import Path

import dagster as dg
import pytest

import alerce_dagster

pytest.importorskip("dagster_celery", reason="only where the launcher is installed")
ROOT = Path(__file__).parents[2]


def test_the_documented_launcher_is_a_valid_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [snippet] = re.findall(r"```yaml\n(run_launcher:.*?)```", (ROOT / "docs" / "live.md").read_text(), re.DOTALL)
    shipped = Path(alerce_dagster.__file__).with_name("dagster.yaml").read_text()
    (tmp_path / "dagster.yaml").write_text(f"{shipped}\n{snippet}")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("ALERCE_CELERY_BROKER", "amqp://somebody:secret@rabbit")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        launcher = instance.run_launcher
        assert type(launcher).__name__ == "CeleryRunLauncher"
        assert launcher.celery.conf.broker_url == "amqp://somebody:secret@rabbit"
        assert launcher.supports_check_run_worker_health
