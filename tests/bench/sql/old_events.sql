-- The raw events before a moment, moved back by some periods of the window.
copy (
    select * replace (timestamp_ms - $period::bigint * $days * 86400000 as timestamp_ms)
    from read_parquet($raw)
    where timestamp_ms < $cut
) to $target (format parquet)
