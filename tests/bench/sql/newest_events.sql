-- The raw events from a moment on; a share of them, in thousandths, happened three to six days earlier. Of a share of the
-- identities, in thousandths too, one exposure more comes late: six hours before their first one.
copy (
    select
        * replace (
            case
                when hash(identifier, timestamp_ms) % 1000 < $late
                    then timestamp_ms - (3 + hash(identifier, timestamp_ms, 'by') % 4)::bigint * 86400000
                else timestamp_ms
            end as timestamp_ms
        )
    from read_parquet($raw)
    where timestamp_ms >= $cut
    union all by name
    select
        event,
        feature_name,
        identifier,
        arg_min(value, timestamp_ms) as value,
        greatest($first_ms, min(timestamp_ms) - 21600000) as timestamp_ms,
        min(day) as day
    from read_parquet($raw)
    where event = '$flag_exposure' and timestamp_ms < $cut and hash(identifier) % 1000 < $touched
    group by event, feature_name, identifier
) to $target (format parquet)
