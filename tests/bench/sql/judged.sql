-- A generated day as ingestion judges it.
create or replace temp table judged as
select
    0::uinteger as object,
    0::uinteger as line,
    null::uinteger as position,
    'bench' as environment_key,
    event,
    feature_name,
    identifier,
    value,
    timestamp_ms,
    '{"country":"' || ['DE', 'AT', 'FR', 'US'][1 + (hash(identifier) % 4)::bigint] || '","plan":"pro"}' as traits,
    null::varchar as metadata,
    null::varchar as event_id,
    (timestamp_ms + 60000) * 1000 as landed_us,
    true as is_plain
from read_parquet($files)
