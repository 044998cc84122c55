-- The rows of the table of events as the expressions read them.
select
    environment_key,
    event,
    feature_name,
    identifier,
    value,
    -- E5: the pattern guards the cast; a number too large for a double is read as infinite, and is none
    case
        when regexp_like(value, '\A[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\z')
            and is_finite(try_cast(value as double))
        then try_cast(value as double)
    end as numeric_value,
    timestamp,
    cast(to_unixtime(timestamp) * 1000 as bigint) as at_ms,
    coalesce(event_id, '') as event_id,
    cast(to_unixtime(loaded_at) * 1000000 as bigint) as loaded_us,
    length(identifier) between 1 and 2000
        and length(coalesce(value, '')) <= 65535
        and length(coalesce(feature_name, '')) <= 2000 as lengths_hold,
    traits,
    metadata,
    -- E4: the MD5 of all parts, each with its length in bytes; the lake reads its bytes as a number from the last one on
    lower(to_hex(reverse(md5(to_utf8(concat(
        cast(length(to_utf8(environment_key)) as varchar), ':', environment_key,
        cast(length(to_utf8(event)) as varchar), ':', event,
        case when feature_name is null then '-' else concat(cast(length(to_utf8(feature_name)) as varchar), ':', feature_name) end,
        cast(length(to_utf8(identifier)) as varchar), ':', identifier,
        cast(cast(to_unixtime(timestamp) * 1000 as bigint) as varchar), ':',
        case when value is null then '-' else concat(cast(length(to_utf8(value)) as varchar), ':', value) end,
        coalesce(event_id, '')
    )))))) as event_hash
from events
