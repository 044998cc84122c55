"""The optional extra that analysis in a warehouse needs: Ibis, and with it pandas and pyarrow."""

from importlib.util import find_spec

from experiment_pipeline.errors import ConfigurationError


def require_ibis() -> None:
    """Raise ConfigurationError unless the extra is installed."""
    if find_spec("ibis") is None:
        raise ConfigurationError.of(
            "warehouse", "needs the extra 'warehouse': pip install 'experiment-pipeline[warehouse]'."
        )
