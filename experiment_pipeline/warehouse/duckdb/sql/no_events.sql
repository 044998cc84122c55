-- A file with the columns that analysis reads and no row, for a lake without events.
copy (
    select
        null::varchar as event,
        null::varchar as feature_name,
        null::varchar as identifier,
        null::bigint as identity_hash,
        null::varchar as value,
        null::double as numeric_value,
        null::varchar as traits,
        null::varchar as metadata,
        null::timestamptz as timestamp,
        null::bigint as event_hash_high,
        null::bigint as event_hash_low,
        null::bigint as batch
    limit 0
) to $target (format parquet)
