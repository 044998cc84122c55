-- The rows of the table of events as the expressions read them; texts compare by bytes (N9).
select
    environment_key collate "C" as environment_key,
    event collate "C" as event,
    feature_name collate "C" as feature_name,
    identifier collate "C" as identifier,
    value collate "C" as value,
    -- E5: the pattern and the guard keep the cast from failing on 1e400
    case
        when value ~ '^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$'
        then case
            when pg_input_is_valid(value, 'double precision') then cast(value as double precision)
            when not pg_input_is_valid(value, 'numeric') then case when value ~ '[eE]-' then 0.0 end
            when abs(cast(value as numeric)) < 1 then 0.0
        end
    end as numeric_value,
    timestamp,
    cast(extract(epoch from timestamp) * 1000 as bigint) as at_ms,
    coalesce(event_id, '') as event_id,
    cast(extract(epoch from loaded_at) * 1000000 as bigint) as loaded_us,
    char_length(identifier) between 1 and 2000
        and char_length(coalesce(value, '')) <= 65535
        and char_length(coalesce(feature_name, '')) <= 2000 as lengths_hold
from events
