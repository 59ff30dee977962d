"""How a TOM finds the data service."""

from django.apps import AppConfig


class TomAlerceDagsterConfig(AppConfig):
    """The app; add `tom_alerce_dagster` to INSTALLED_APPS."""

    name = "tom_alerce_dagster"

    def data_services(self) -> list[dict[str, str]]:
        """TOM Toolkit's integration point."""
        return [{"class": "tom_alerce_dagster.data_service.AlerceDagsterDataService"}]
