"""Every path of /openapi.json, asked at random within its schema and against it: no fault of the server, what is
allowed is answered as described, what is not is refused with a reason.
"""

from collections.abc import Iterator

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from alerce_dagster.storage import Stores
from alerce_dagster.web.app import create_app

load_all_checks()
_CHECKS = CHECKS.get_by_names(
    [
        "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
        "negative_data_rejection",
    ]
)  # fmt: skip


def _operations() -> list[tuple[str, str, GenerationMode]]:
    """Every operation within its schema, and, where there is anything to get wrong, against it."""
    paths = create_app(None).openapi()["paths"]  # type: ignore[arg-type]
    found = []
    for path, methods in paths.items():
        for method, said in methods.items():
            if "stream" in path:  # it never ends
                continue
            found.append((path, method, GenerationMode.POSITIVE))
            if said.get("parameters") or said.get("requestBody"):
                found.append((path, method, GenerationMode.NEGATIVE))
    return found


def _cannot_be_wrong(case: schemathesis.Case) -> bool:
    """Whether a parameter that breaks the schema keeps to it in a URL: an empty text counts as not given, and any
    single value is a list of one.
    """
    query = case.query or {}
    lists = {p.name for p in case.operation.query if any("items" in s for s in p.definition["schema"].get("anyOf", []))}
    return any(value in (None, "", "None", [], {}) for value in query.values()) or bool(lists & set(query))


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


@pytest.mark.parametrize(("path", "method", "mode"), _operations(), ids=lambda part: getattr(part, "value", part))
def test_answers_are_as_described(
    served_web: str, written: Stores, session: requests.Session, path: str, method: str, mode: GenerationMode
) -> None:
    if mode is GenerationMode.NEGATIVE and not written.database.is_sqlite:
        pytest.skip("what breaks the schema is refused before any database is asked")
    operation = schemathesis.openapi.from_dict(create_app(None).openapi())[path][method]

    @settings(
        max_examples=6, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck), database=None,
    )  # fmt: skip
    @given(case=operation.as_strategy(mode))
    def ask(case: schemathesis.Case) -> None:
        assume(mode is GenerationMode.POSITIVE or not _cannot_be_wrong(case))
        answer = case.call(session=session, base_url=served_web)
        case.validate_response(answer, checks=_CHECKS)

    ask()
