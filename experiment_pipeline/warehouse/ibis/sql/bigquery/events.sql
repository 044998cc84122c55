-- The rows of the table of events as the expressions read them.
select
    environment_key,
    event,
    feature_name,
    identifier,
    value,
    -- E5: the pattern guards the cast; a number too large for a double is read as infinite, and is none
    case
        when regexp_contains(value, r'\A[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?\z')
            and not is_inf(safe_cast(value as float64))
        then safe_cast(value as float64)
    end as numeric_value,
    timestamp,
    unix_millis(timestamp) as at_ms,
    coalesce(event_id, '') as event_id,
    unix_micros(loaded_at) as loaded_us,
    char_length(identifier) between 1 and 2000
        and char_length(coalesce(value, '')) <= 65535
        and char_length(coalesce(feature_name, '')) <= 2000 as lengths_hold,
    traits,
    metadata,
    -- E4: the MD5 of all parts, each with its length in bytes; the lake reads its bytes as a number from the last one on
    to_hex(reverse(md5(concat(
        cast(octet_length(environment_key) as string), ':', environment_key,
        cast(octet_length(event) as string), ':', event,
        case when feature_name is null then '-' else concat(cast(octet_length(feature_name) as string), ':', feature_name) end,
        cast(octet_length(identifier) as string), ':', identifier,
        cast(unix_millis(timestamp) as string), ':',
        case when value is null then '-' else concat(cast(octet_length(value) as string), ':', value) end,
        coalesce(event_id, '')
    )))) as event_hash
from events
