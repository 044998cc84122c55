"""The change counter: equal answers mean that nothing was committed between them."""

from pathlib import Path

from sqlalchemy import create_engine, text

from experiment_pipeline.registry.change_counter import ChangeCounter


def test_read__of_sqlite__differs_after_each_commit_and_only_then(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'a b%20?.sqlite'}".replace("?", "_"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
    counter = ChangeCounter(engine)
    seen = [counter.read(), counter.read()]
    assert seen[0] == seen[1] is not None
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO t VALUES (1)"))
        assert counter.read() == seen[0], "it is not committed yet"
    assert counter.read() != seen[0]
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO t VALUES (2)"))
        connection.rollback()
    assert counter.read() == counter.read()
    counter.close()
    assert counter.read() not in seen, "another connection counts anew"
    counter.close()
    engine.dispose()


def test_read__of_a_file_that_is_not_there__is_unknown_and_makes_none(tmp_path: Path) -> None:
    counter = ChangeCounter(create_engine(f"sqlite:///{tmp_path / 'none.sqlite'}"))
    assert counter.read() is None
    assert list(tmp_path.iterdir()) == []


def test_read__of_postgresql_or_a_database_in_memory__is_unknown() -> None:
    assert ChangeCounter(create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")).read() is None
    assert ChangeCounter(create_engine("sqlite://")).read() is None
