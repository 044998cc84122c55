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
    lengthUTF8(identifier) between 1 and 2000
        and lengthUTF8(coalesce(value, '')) <= 65535
        and lengthUTF8(coalesce(feature_name, '')) <= 2000 as lengths_hold
from events
