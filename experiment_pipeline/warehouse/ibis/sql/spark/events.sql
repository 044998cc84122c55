-- The rows of the table of events as the expressions read them.
select
    environment_key,
    event,
    feature_name,
    identifier,
    value,
    -- E5: the pattern guards the cast; a number too large for a double is read as infinite, and is none
    case
        when value rlike '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?\\z'
            and abs(try_cast(value as double)) < double('infinity')
        then try_cast(value as double)
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
    array_join(reverse(regexp_extract_all(md5(concat(
        octet_length(environment_key), ':', environment_key,
        octet_length(event), ':', event,
        case when feature_name is null then '-' else concat(octet_length(feature_name), ':', feature_name) end,
        octet_length(identifier), ':', identifier,
        unix_millis(timestamp), ':',
        case when value is null then '-' else concat(octet_length(value), ':', value) end,
        coalesce(event_id, '')
    )), '..', 0)), '') as event_hash
from events
