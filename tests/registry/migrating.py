"""A process that opens a database and migrates it: a module of its own, for a test module's imports take a second."""

from experiment_pipeline.registry.engine import is_current, migrate, open_engine


def open_and_migrate(url: str) -> bool:
    engine = open_engine(url)
    try:
        migrate(engine)
        return is_current(engine)
    finally:
        engine.dispose()
