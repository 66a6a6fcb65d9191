"""Optional dependencies: scoring files needs few, and a command that needs more names its extra."""

EXTRAS = {
    "charts": ("altair", "vl_convert"),
    "train": ("matplotlib", "mlflow", "optuna", "pandas", "sklearn", "shap"),
    "platform": ("alembic", "cryptography", "httpx", "psycopg", "sqlalchemy", "structlog"),
    "serve": (
        "authlib",
        "bentoml",
        "fastapi",
        "httptools",
        "joserfc",
        "prometheus_client",
        "pydantic_core",
        "reportlab",
        "requests",
        "starlette",
        "typing_extensions",
        "tzdata",
        "uvicorn",
        "uvloop",
    ),
}
"""The modules that come with each extra of pyproject.toml; a test compares them."""


def missing_extra(error: ModuleNotFoundError) -> str:
    """Name the extra of a missing module in one line; empty if no extra has it.

    >>> missing_extra(ModuleNotFoundError(name="altair.vegalite"))
    "this needs altair, which is not installed here: pip install 'fivefold[charts]'"
    """
    module = (error.name or "").partition(".")[0]
    for extra, modules in EXTRAS.items():
        if module in modules:
            return f"this needs {module}, which is not installed here: pip install 'fivefold[{extra}]'"
    return ""
