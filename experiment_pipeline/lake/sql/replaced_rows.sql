-- One month's rows of a source that is read again: they leave with this batch (rule D5).
insert into removed_rows
select distinct $environment_key, $month, event_hash_high, event_hash_low, identity_hash, timestamp
from read_parquet($files, hive_partitioning = false) as known
anti join removals
    on removals.event_hash_high = known.event_hash_high
    and removals.event_hash_low = known.event_hash_low
    and removals.batch > known.batch
    and removals.batch < $batch
where source = $source and known.batch < $batch
