"""The settings of the processes that run on: whatever they name is read before anything starts."""

from fivefold.domain.settings import Settings, read_settings, require_model_name


def checked_settings() -> Settings:
    """Read the settings; ConfigError for one that would fail later, in a worker that restarts forever, or mislead."""
    from fivefold.store.accounts.plans import read_plans
    from fivefold.usecases.flows.sources import read_sources
    from fivefold.usecases.webhooks.signing import require_keys

    settings = read_settings()
    require_model_name(settings.model_name)
    read_plans(settings.plans_file)
    read_sources(settings.sources_file, settings.secrets)
    require_keys(settings.webhook_keys)
    return settings
