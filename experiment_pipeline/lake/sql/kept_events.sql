-- The rows of some files of one partition, sorted as analysis reads them, without those that a batch up to a limit removed
-- (rule E6). Files that were written before there were sources lack their columns.
select events.*
from read_parquet($files, hive_partitioning = false, union_by_name = true) as events
anti join read_parquet($removals, hive_partitioning = false) as removals
    on removals.event_hash_high = events.event_hash_high
    and removals.event_hash_low = events.event_hash_low
    and removals.batch > events.batch
    and removals.batch <= $limit
order by event, feature_name, identity_hash, timestamp
