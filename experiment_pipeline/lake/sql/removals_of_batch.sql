-- The removals of one partition, as rows of the table `events`: each hides the rows with its hash of earlier batches.
select
    $removal_event as event,
    null::varchar as feature_name,
    '' as identifier,
    identity_hash,
    null::varchar as value,
    null::double as numeric_value,
    timestamp,
    null::varchar as traits,
    null::varchar as metadata,
    null::varchar as event_id,
    event_hash_high,
    event_hash_low,
    $removed_at::timestamptz as landed_at,
    $batch::bigint as batch,
    null::varchar as source,
    null::bigint as source_version,
    null::bigint as source_cursor
from removed_rows
anti join (from removals where batch = $batch) as said using (event_hash_high, event_hash_low)
where environment_key = $environment_key and month = $month
order by identity_hash, timestamp
