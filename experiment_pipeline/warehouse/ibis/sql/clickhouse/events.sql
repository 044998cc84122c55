-- The rows of the table of events as the expressions read them: an empty value is none where it may not be null.
select
    environment_key,
    event,
    feature_name,
    identifier,
    value,
    -- E5: the pattern guards the cast; a number too large for a double is read as infinite, and is none
    case
        when match(coalesce(value, ''), '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?\\z')
            and isFinite(toFloat64OrZero(coalesce(value, '')))
        then toFloat64OrNull(coalesce(value, ''))
    end as numeric_value,
    timestamp,
    toUnixTimestamp64Milli(timestamp) as at_ms,
    coalesce(event_id, '') as event_id,
    toUnixTimestamp64Micro(loaded_at) as loaded_us,
    -- what has few bytes has few characters, which take longer to count
    length(identifier) > 0
        and (length(identifier) <= 2000 or lengthUTF8(identifier) <= 2000)
        and (length(coalesce(value, '')) <= 65535 or lengthUTF8(coalesce(value, '')) <= 65535)
        and (length(coalesce(feature_name, '')) <= 2000 or lengthUTF8(coalesce(feature_name, '')) <= 2000) as lengths_hold,
    traits,
    metadata,
    -- E4: the MD5 of all parts, each with its length in bytes; the lake reads its bytes as a number from the last one on
    lower(hex(reverse(MD5(concat(
        toString(length(environment_key)), ':', environment_key,
        toString(length(event)), ':', event,
        if(feature_name is null, '-', concat(toString(length(coalesce(feature_name, ''))), ':', coalesce(feature_name, ''))),
        toString(length(identifier)), ':', identifier,
        toString(toUnixTimestamp64Milli(timestamp)), ':',
        if(value is null, '-', concat(toString(length(coalesce(value, ''))), ':', coalesce(value, ''))),
        coalesce(event_id, '')
    ))))) as event_hash
from events
