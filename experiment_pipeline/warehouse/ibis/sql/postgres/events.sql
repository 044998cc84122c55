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
        and char_length(coalesce(feature_name, '')) <= 2000 as lengths_hold,
    traits,
    metadata,
    -- E4: the MD5 of all parts, each with its length in bytes; the lake reads its bytes as a number from the last one on
    (
        select string_agg(substr(hash.text, 2 * byte - 1, 2), '' order by byte desc) collate "C"
        from generate_series(1, 16) as bytes(byte)
        cross join (
            select md5(concat(
                octet_length(environment_key), ':', environment_key,
                octet_length(event), ':', event,
                case when feature_name is null then '-' else concat(octet_length(feature_name), ':', feature_name) end,
                octet_length(identifier), ':', identifier,
                cast(extract(epoch from timestamp) * 1000 as bigint), ':',
                case when value is null then '-' else concat(octet_length(value), ':', value) end,
                event_id
            )) as text
        ) as hash
    ) as event_hash
from events
