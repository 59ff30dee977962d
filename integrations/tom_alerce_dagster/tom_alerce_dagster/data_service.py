"""The broker as a TOM Toolkit data service: search its objects, make targets of them, fetch their photometry.

The broker's address comes from the TOM's settings:

    DATA_SERVICES = {"ALeRCE on Dagster": {"base_url": "http://127.0.0.1:8000"}}
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from django import forms
from tom_dataproducts.models import PhotometryReducedDatum
from tom_dataservices.dataservices import DataService, QueryServiceError
from tom_dataservices.forms import BaseQueryForm
from tom_targets.models import Target

_TIMEOUT = 30  # s
_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)
_EXTRAS = ("class_name", "classifier", "probability", "n_det", "first_mjd", "last_mjd")


class AlerceDagsterForm(BaseQueryForm):
    """What may be asked for; everything that is given must hold."""

    oid = forms.CharField(required=False, label="Object", help_text="* stands for any characters")
    classifier = forms.CharField(required=False, help_text="combined, light_curve_classifier or stamp_classifier")
    class_name = forms.CharField(required=False, label="Class", help_text="for example SN or SNIa")
    min_probability = forms.FloatField(required=False, min_value=0, max_value=1, label="Least probability")
    min_detections = forms.IntegerField(required=False, min_value=1, label="Least number of detections")
    first_mjd = forms.FloatField(required=False, min_value=0, label="First detected after, MJD")
    ra = forms.FloatField(required=False, min_value=0, max_value=360, label="RA, deg")
    dec = forms.FloatField(required=False, min_value=-90, max_value=90, label="Dec, deg")
    radius = forms.FloatField(required=False, min_value=0, label="Radius, arcsec")
    limit = forms.IntegerField(required=False, min_value=1, max_value=500, initial=50, label="Objects at most")

    def clean(self) -> dict[str, Any]:
        """A cone needs a position."""
        cleaned = super().clean() or {}
        given = [cleaned.get(name) is not None for name in ("ra", "dec", "radius")]
        if any(given) and not all(given):
            raise forms.ValidationError("A cone needs RA, Dec and radius.")
        return cleaned


class AlerceDagsterDataService(DataService):
    """See the module."""

    name = "ALeRCE on Dagster"
    verbose_name = "An ALeRCE on Dagster broker"
    service_notes = "Difference photometry of ZTF. Detections fainter than the template are left out."

    @classmethod
    def get_form_class(cls) -> type[AlerceDagsterForm]:
        """The search form."""
        return AlerceDagsterForm

    def build_query_parameters(self, parameters: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Parameters of the broker's API, from those of the form; what is empty is left out. RA 0 is not empty."""
        names = {"min_detections": "n_det", "limit": "page_size"}
        known = AlerceDagsterForm.base_fields.keys() - BaseQueryForm.base_fields.keys()
        given = {name: parameters.get(name) for name in known}
        return {names.get(name, name): value for name, value in given.items() if value not in (None, "")}

    def build_query_parameters_from_target(self, target: Target, **kwargs: Any) -> dict[str, Any]:
        """The object that a target is named after."""
        return {"oid": target.name}

    def query_service(self, query_parameters: dict[str, Any], **kwargs: Any) -> list[dict[str, Any]]:
        """Objects, as the broker lists them."""
        self.query_results = self._get("/api/v1/objects", query_parameters)["items"]
        return self.query_results

    def query_targets(self, query_parameters: dict[str, Any], **kwargs: Any) -> list[dict[str, Any]]:
        """Objects, with a `name` for the TOM's table."""
        return [row | {"name": row["oid"]} for row in self.query_service(query_parameters)]

    def create_target_from_query(self, target_result: dict[str, Any], **kwargs: Any) -> Target:
        """A target, not saved yet."""
        row = target_result
        return Target(name=row["oid"], type="SIDEREAL", ra=row["ra"], dec=row["dec"])

    def create_target_extras_from_query(self, query_results: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """What the broker thinks of it, at the time of the query."""
        return {name: query_results[name] for name in _EXTRAS if query_results.get(name) is not None}

    def query_photometry(self, query_parameters: dict[str, Any], **kwargs: Any) -> dict[str, list[dict[str, Any]]]:
        """Detections and upper limits of one object."""
        path = f"/api/v1/objects/{query_parameters['oid']}"
        return {name: self._get(f"{path}/{name}", {}) for name in ("detections", "non_detections")}

    def query_spectroscopy(self, query_parameters: dict[str, Any], **kwargs: Any) -> list[dict[str, Any]]:
        """The broker has no spectra."""
        return []

    def create_reduced_datums_from_query(
        self, target: Target, data: Any = None, data_type: str | None = None, **kwargs: Any
    ) -> list[PhotometryReducedDatum]:
        """The photometry in the TOM's table; what is there already stays as it is."""
        if data_type != "photometry" or not data:
            return []
        made = []
        for row in data["detections"]:
            if row["positive"] and row["mag"] is not None:
                made.append(self._datum(target, row, brightness=row["mag"], brightness_error=row["mag_err"]))
        for row in data["non_detections"]:
            if row["mag_limit"] is not None:
                made.append(self._datum(target, row, limit=row["mag_limit"]))
        return made

    def _datum(self, target: Target, row: dict[str, Any], **measured: float | None) -> PhotometryReducedDatum:
        about = {"source_name": self.name, "source_location": row["oid"], "telescope": "ZTF"}
        datum, _ = PhotometryReducedDatum.objects.get_or_create(
            target=target, timestamp=_MJD_ZERO + timedelta(days=row["mjd"]), bandpass=row["band"], unit="AB mag",
            **measured, defaults=about,
        )  # fmt: skip
        return datum

    def _get(self, path: str, parameters: dict[str, Any]) -> Any:
        """The broker's answer; its own sentence where it refuses."""
        url = self.get_configuration("base_url", "http://127.0.0.1:8000").rstrip("/")
        try:
            answer = requests.get(f"{url}{path}", params=parameters, timeout=_TIMEOUT)
        except requests.RequestException as error:
            raise QueryServiceError(f"The broker at {url} did not answer ({type(error).__name__}).") from error
        if answer.status_code != 200:
            try:
                said = answer.json()["detail"]
            except (ValueError, KeyError):
                said = f"it answered {answer.status_code}"
            raise QueryServiceError(f"The broker at {url}: {said}")
        return answer.json()
