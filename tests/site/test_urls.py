"""Every address of the site: what it gives to strangers, and how it refuses."""

import json

import pytest
from django.conf import settings as project
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

pytestmark = pytest.mark.django_db

# Whatever else answers a stranger is a leak: a new address is here, or it asks who is there.
PUBLIC = {"healthz", "healthz/", "admin/login/", "admin/logout/", "admin/jsi18n/"}
METHODS = ["get", "post", "delete", "options"]


def routes(patterns=None, prefix=""):
    for pattern in patterns if patterns is not None else get_resolver().url_patterns:
        route = prefix + str(pattern.pattern)
        match pattern:
            case URLResolver():
                yield from routes(pattern.url_patterns, route)
            case URLPattern():
                yield route


def address(route):
    """An address that a route matches."""
    for kind in ("str", "path", "slug", "int"):
        while f"<{kind}:" in route:
            before, _, rest = route.partition(f"<{kind}:")
            route = f"{before}1{rest.partition('>')[2]}"
    return "/" + route.replace("^", "").replace("(/|$)", "/nothing").replace("$", "")


def simple():
    """The routes that are no regular expressions of the admin's, each with an address."""
    return {route: address(route) for route in routes() if "(?P" not in route}


def test_a_stranger_gets_nothing_anywhere(broker):
    client = Client()
    answered = set()

    for route, path in simple().items():
        for method in METHODS:
            response = getattr(client, method)(path)
            if response.status_code not in (301, 302, 401, 403, 404, 405):
                answered.add(route)
            if response.status_code in (301, 302) and route not in PUBLIC:
                to = response.headers["Location"]
                assert to.startswith(("/admin/login/", path)) and "//" not in to, (path, to)

    assert {"api/metrics", "api/schema", "admin/"} <= set(simple())
    assert answered <= PUBLIC, answered - PUBLIC
    assert broker.stats().queues == []


def test_the_health_check_tells_a_stranger_one_word(broker):
    assert Client().get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/no", "/api/tasks/a/b/c", "/api//tasks"])
@pytest.mark.parametrize("method", ["get", "post", "delete", "options"])
def test_what_is_not_there_is_said_in_json(broker, path, method):
    response = getattr(Client(headers={"host": "localhost"}), method)(path)

    assert response.status_code == 404
    assert response.json()["detail"]


def test_every_address_of_the_api_refuses_wrong_methods_and_redirects_none(broker):
    client = Client(headers={"host": "localhost"})

    for route in routes():
        if not route.startswith("api/") or "$" in route:
            continue
        allowed = set(client.options(address(route)).headers["Allow"].lower().split(", "))
        for method in {"get", "post", "put", "patch", "delete"} - allowed:
            response = getattr(client, method)(address(route))
            assert response.status_code == 405, route
            assert set(response.headers["Allow"].lower().split(", ")) == allowed
            assert response.json()["detail"]
        forms = (address(route), address(route).rstrip("/") + "/")
        assert len({client.post(form).status_code for form in forms}) == 1


def test_answers_of_the_api_are_kept_by_nobody_and_are_only_json(broker):
    response = Client(headers={"host": "localhost", "accept": "text/html"}).get("/api/metrics")

    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"


def test_the_schema_describes_every_address_without_a_warning(broker, capsys):
    response = Client(headers={"host": "localhost"}).get("/api/schema")
    schema = json.loads(response.content)

    assert capsys.readouterr().err == ""
    assert schema["openapi"].startswith("3.1")
    paths = " ".join(schema["paths"]).replace("{", "<str:").replace("}", ">")
    ours = {route for route in routes() if route.startswith("api/") and not route.endswith("/")}
    unlisted = {route for route in ours if "$" in route} | {"api/schema", "api/docs"}
    assert {path.lstrip("/") for path in paths.split()} == ours - unlisted


def test_the_docs_load_nothing_from_elsewhere(broker):
    client = Client(headers={"host": "localhost"})

    page = client.get("/api/docs").content.decode()

    assert "swagger-ui-bundle.js" in page
    for source in page.replace('"', "'").split("src='")[1:] + page.split('href="')[1:]:
        assert source.startswith(("/", "data:")) and not source.startswith("//")
    assert project.SPECTACULAR_SETTINGS["SWAGGER_UI_DIST"] == "SIDECAR"
