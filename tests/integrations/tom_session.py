"""A real TOM, run by its own Python: TOM Toolkit's ALeRCE modules and ours, against the broker at argv[1].

Prints what they found as JSON. Started by `test_tom_toolkit`; nothing here knows pytest.
"""

import json
import sys
import tempfile
from pathlib import Path

import django
from django.conf import settings
from tom_common import default_settings

BROKER, FOLDER = sys.argv[1], Path(sys.argv[2])
defaults = {name: getattr(default_settings, name) for name in dir(default_settings) if name.isupper()}
own = dict(
    SECRET_KEY="test",
    INSTALLED_APPS=[*default_settings.TOMTOOLKIT_INSTALLED_APPS, "tom_alerts", "tom_alerce_dagster"],
    MIDDLEWARE=default_settings.TOMTOOLKIT_MIDDLEWARE,
    AUTHENTICATION_BACKENDS=default_settings.TOMTOOLKIT_AUTHENTICATION_BACKENDS,
    ROOT_URLCONF=__name__,
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            f"django.{name}" for name in ("template.context_processors.request", "contrib.auth.context_processors.auth",
                                          "contrib.messages.context_processors.messages")]},
    }],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "tom.sqlite3"}},
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    TASKS={"default": {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}},
    SITE_ID=1, USE_TZ=True, TIME_ZONE="UTC", ALLOWED_HOSTS=["testserver"], STATIC_URL="/static/",
    MEDIA_ROOT=FOLDER / "data", TOM_NAME="test", TARGET_TYPE="SIDEREAL", EXTRA_FIELDS=[], MATCH_MANAGERS={},
    AUTH_STRATEGY="READ_ONLY", OPEN_URLS=[], HOOKS={}, FACILITIES={}, TOM_FACILITY_CLASSES=[], DATA_PROCESSORS={},
    DATA_PRODUCT_TYPES={"photometry": ("photometry", "Photometry")}, CRISPY_TEMPLATE_PACK="bootstrap5",
    TOM_ALERT_CLASSES=["tom_alerts.brokers.alerce.ALeRCEBroker"], LOGIN_URL="/accounts/login/",
    DATA_SERVICES={"ALeRCE on Dagster": {"base_url": BROKER}}, DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)  # fmt: skip
settings.configure(**(defaults | own))
tempfile.tempdir = str(FOLDER)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import include, path, reverse  # noqa: E402
from tom_alerts.brokers import alerce as broker_module  # noqa: E402
from tom_dataproducts.models import PhotometryReducedDatum  # noqa: E402
from tom_dataservices.dataservices import QueryServiceError, get_data_service_class  # noqa: E402
from tom_targets.models import Target  # noqa: E402

urlpatterns = [
    path("alerts/", include("tom_alerts.urls", namespace="alerts")),
    path("", include("tom_common.urls")),
]


def photometry(target: Target) -> list[list]:
    """What the TOM has stored of a target: time, band, brightness, limit."""
    rows = PhotometryReducedDatum.objects.filter(target=target).order_by("timestamp", "bandpass")
    return [[row.timestamp.isoformat(), row.bandpass, row.brightness, row.limit] for row in rows]


def the_alerts_module() -> dict:
    """`tom_alerts.brokers.alerce` as it is, but for the address it asks."""
    broker_module.ALERCE_SEARCH_URL = f"{BROKER}/ztf/v1"
    broker_module.ALERCE_CLASSES_URL = f"{BROKER}/ztf/v1/classifiers"
    broker = broker_module.ALeRCEBroker()
    asked = {"query_name": "q", "broker": "ALeRCE", "stamp_classifier": "SN", "p_stamp_classifier": 0.2, "max_pages": 5,
             "order_by": "probability", "order_mode": "DESC"}  # fmt: skip
    form = broker_module.ALeRCEQueryForm(asked)
    assert form.is_valid(), form.errors
    alerts = list(broker.fetch_alerts(dict(form.cleaned_data))[0])
    best = alerts[0]
    generic = broker.to_generic_alert(best)
    near = dict.fromkeys(form.cleaned_data) | {"ra": best["meanra"], "dec": best["meandec"], "radius": 2,
                                               "max_pages": 1}  # fmt: skip
    target = broker.to_target(broker.fetch_alert(best["oid"]))
    broker.process_reduced_data(target)
    broker.process_reduced_data(target)  # a second time changes nothing
    found = {
        "oids": [row["oid"] for row in alerts], "probabilities": [row["probability"] for row in alerts],
        "generic": [generic.name, generic.ra, generic.dec, generic.score, generic.timestamp.isoformat()],
        "near": [row["oid"] for row in broker.fetch_alerts(near)[0]],
        "target": [target.name, target.ra, target.dec], "photometry": photometry(target),
    }  # fmt: skip
    target.delete()
    return found


def a_service(name: str, asked: dict) -> dict:
    """A data service from its form to photometry, as the TOM's views use it."""
    service = get_data_service_class(name)()
    form = service.get_form_class()({"data_service": name} | asked)
    assert form.is_valid(), form.errors
    rows = service.query_targets(service.build_query_parameters(form.cleaned_data))
    target = service.to_target(rows[0])
    for _ in range(2):
        service.to_reduced_datums(target, service.query_reduced_data(target))
    found = {
        "oids": [row["oid"] for row in rows], "target": [target.name, target.ra, target.dec],
        "extras": dict(target.targetextra_set.values_list("key", "value")), "photometry": photometry(target),
    }  # fmt: skip
    target.delete()
    return found


def our_refusals() -> dict[str, str]:
    """What a person reads when the broker refuses, or is away."""
    service = get_data_service_class("ALeRCE on Dagster")()
    said = {}
    for name, base_url in (("refused", BROKER), ("away", "http://127.0.0.1:9")):
        settings.DATA_SERVICES["ALeRCE on Dagster"]["base_url"] = base_url
        try:
            service.query_targets({"class_name": "'; DROP TABLE object; --"})
        except QueryServiceError as error:
            said[name] = str(error)
    settings.DATA_SERVICES["ALeRCE on Dagster"]["base_url"] = BROKER
    return said


call_command("migrate", verbosity=0)
ours = {"classifier": "stamp_classifier", "class_name": "SN", "min_probability": 0.2, "limit": 500}
theirs = {"survey": "ZTF", "cfield_stamp_classifier": "SN", "prob_cfield_stamp_classifier": 0.2}
page = Client()
page.force_login(User.objects.create_user("astronomer"))
form = page.get(reverse("dataservices:create"), {"data_service": "ALeRCE on Dagster"})
print(
    json.dumps(
        {
            "alerts_module": the_alerts_module(),
            "their_service": a_service("ALeRCE", theirs),
            "our_service": a_service("ALeRCE on Dagster", ours),
            "refusals": our_refusals(),
            "page": [form.status_code, "Least probability" in form.content.decode()],
        }
    )
)
