-- One partition's new events, in the order that analysis reads them in.
select
    event,
    feature_name,
    identifier,
    identity_hash,
    value,
    numeric_value,
    to_timestamp(timestamp_ms / 1000.0) as timestamp,
    traits,
    metadata,
    event_id,
    event_hash_high,
    event_hash_low,
    to_timestamp(landed_us / 1000000.0) as landed_at,
    $batch::bigint as batch,
    source,
    source_version,
    source_cursor
from staged_rows
where environment_key = $environment_key and month = $month and staged_row in (select staged_row from accepted_rows)
order by event, feature_name, identity_hash, timestamp_ms
