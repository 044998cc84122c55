-- The time of any event of some names: where there is none, nothing is to be aggregated.
select timestamp
from read_parquet($event_files, hive_partitioning = false)
where list_contains($events, event)
    and timestamp >= $started_at
    and timestamp < $as_of
    and batch <= $data_version
limit 1
