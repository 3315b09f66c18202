"""Why nothing is started; apart from the settings, so that `payonce --help` need not load what they know of."""


class StartRefused(Exception):
    """Something to set right before anything can start. The message is one sentence that names it."""


class SettingsInvalid(StartRefused):
    """A setting is wrong, unknown or missing. The message is one sentence that names it."""
