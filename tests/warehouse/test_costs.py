"""Costs of statements in a warehouse, added up (rule N5)."""

from experiment_pipeline.warehouse.costs import Cost


def test_total__of_statements_some_of_which_the_engine_says_nothing__adds_what_is_known__n5() -> None:
    told = Cost(1, 0.25, read_rows=10, read_bytes=200, query_ids=("a",))
    total = Cost.total([told, Cost(1, 0.5), told])
    assert total == Cost(3, 1.0, read_rows=20, read_bytes=400, query_ids=("a", "a"))
    assert Cost.total([Cost(1, 0.5)]).to_json() == {"statements": 1, "seconds": 0.5}
    assert Cost.total([]) == Cost()
