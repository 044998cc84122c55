-- The raw events from a moment on; a share of them, in thousandths, happened three to six days earlier.
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
) to $target (format parquet)
