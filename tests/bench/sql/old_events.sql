-- The raw events before a moment, and the same events again for every earlier period of the window.
copy (
    select * replace (timestamp_ms - (period * $days * 86400000)::bigint as timestamp_ms)
    from read_parquet($raw), range($longer) as periods(period)
    where timestamp_ms < $cut
) to $target (format parquet)
