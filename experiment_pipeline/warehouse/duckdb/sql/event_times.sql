-- The times of the first and the last event of a window; both null without one.
select min(timestamp) as first_at, max(timestamp) as last_at
from read_parquet($event_files, hive_partitioning = false)
where timestamp >= $started_at
    and timestamp < $as_of
    and batch <= $data_version
