-- One month's rows of the same sources with the same event ids, as they were before this batch.
insert into known_rows
select
    $environment_key,
    $month,
    known.source,
    known.event_id,
    known.source_cursor,
    known.event_hash_high,
    known.event_hash_low,
    known.identity_hash,
    known.timestamp,
    known.batch
from read_parquet($files, hive_partitioning = false) as known
semi join latest_rows
    on latest_rows.environment_key = $environment_key
    and latest_rows.source = known.source
    and latest_rows.event_id = known.event_id
anti join removals
    on removals.event_hash_high = known.event_hash_high
    and removals.event_hash_low = known.event_hash_low
    and removals.batch > known.batch
    and removals.batch < $batch
where known.batch < $batch and known.source not in (select unnest($replaced))
