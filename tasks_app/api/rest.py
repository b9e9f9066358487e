"""How our API behaves: the site's REST_FRAMEWORK setting, and what holds in any other project."""

REST = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "tasks_app.api.authentication.TokenAuthentication",  # first: its 401 says how to log in
        "rest_framework.authentication.SessionAuthentication",
        "tasks_app.api.authentication.LoopbackAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["tasks_app.api.permissions.MayDo"],
    "DEFAULT_PARSER_CLASSES": ["tasks_app.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "tasks_app.api.errors.answer",
    "LIST_SERIALIZER_ERRORS_AS_DICT": True,
    "URL_FORMAT_OVERRIDE": None,
}
