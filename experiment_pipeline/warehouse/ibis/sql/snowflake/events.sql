-- The rows of the table of events as the expressions read them; their names are in lower case, which Snowflake is not.
select
    environment_key as "environment_key",
    event as "event",
    feature_name as "feature_name",
    identifier as "identifier",
    value as "value",
    -- E5: the pattern, which holds for the whole text here, guards the cast; what is too large for a double is no number
    case
        when regexp_like(value, '[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?')
            and abs(try_to_double(value)) < to_double('inf')
        then try_to_double(value)
    end as "numeric_value",
    timestamp as "timestamp",
    date_part(epoch_millisecond, timestamp) as "at_ms",
    coalesce(event_id, '') as "event_id",
    date_part(epoch_microsecond, loaded_at) as "loaded_us",
    length(identifier) between 1 and 2000
        and length(coalesce(value, '')) <= 65535
        and length(coalesce(feature_name, '')) <= 2000 as "lengths_hold",
    traits as "traits",
    metadata as "metadata",
    -- E4: the MD5 of all parts, each with its length in bytes; the lake reads its bytes as a number from the last one on
    array_to_string(array_reverse(regexp_substr_all(md5(concat(
        octet_length(environment_key), ':', environment_key,
        octet_length(event), ':', event,
        case when feature_name is null then '-' else concat(octet_length(feature_name), ':', feature_name) end,
        octet_length(identifier), ':', identifier,
        date_part(epoch_millisecond, timestamp), ':',
        case when value is null then '-' else concat(octet_length(value), ':', value) end,
        coalesce(event_id, '')
    )), '..')), '') as "event_hash"
from events
