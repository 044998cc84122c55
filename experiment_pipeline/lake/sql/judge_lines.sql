-- From lines of text to judged records: `plain` ones surely keep the contract and are rows already; the rest is for
-- `events.parse`. Soundness is all that counts here: whatever might be read in two ways is not plain.
--
-- lines(object, line, text), objects(object, environment_key, known, landed_us) -> judged
create or replace temp table judged as
with
line as (
    select
        object,
        line,
        text,
        json_valid(text) as is_json,
        -- DuckDB's reader takes trailing commas and NaN; JSON does not. It rewrites numbers, and rule E4 compares a
        -- value by its literal: only spellings that survive are plain. An escaped ASCII letter could hide a name.
        not regexp_matches(
            text,
            ',\s*[}\]]|[:\[,]\s*-?(?:[nN]a[nN]|[iI]nf)|\\u00[2-7]'
            || '|"value"\s*:\s*(?:-0|-?(?:0\.0000|[0-9.]+[eE]|[0-9.]{16}|[0-9]+\.[0-9]+0[^0-9]))'
        ) as is_unambiguous
    from lines
),
shaped as materialized (
    select
        object,
        line,
        text,
        is_json,
        is_json and is_unambiguous as is_readable,
        case
            when is_json and is_unambiguous
            then json_type(text, 'events') is not distinct from 'ARRAY' and json_type(text, 'event') is null
            else false
        end as is_envelope
    from line
),
record as (
    select object, line, null::uinteger as position, text, is_json, is_readable
    from shaped
    where not is_envelope
    union all
    select
        object,
        line,
        unnest(range(1, len(members) + 1))::uinteger as position,
        unnest(members)::varchar as text,
        true as is_json,
        true as is_readable
    from (select object, line, json_extract(text, '$.events[*]') as members from shaped where is_envelope)
),
extracted as (
    select
        *,
        case when is_readable then json_extract_string(text, $fields) end as field,
        case when is_readable then json_type(text, $fields) end as type
    from record
),
named as (
    select
        object,
        line,
        position,
        text,
        is_json,
        case when is_readable then json_type(text) = 'OBJECT' end
            and strlen(text) - strlen(replace(replace(text, '[', ''), '{', '')) < $nesting_limit as is_object,
        field[1] as event,
        field[2] as feature_name,
        field[3] as identifier,
        field[4] as value,
        field[5] as traits,
        field[6] as metadata,
        nullif(field[7], '') as event_id,
        field[8] as claimed_environment,
        case type[9]
            when 'UBIGINT' then try_cast(field[9] as bigint)
            when 'VARCHAR' then
                case
                    when regexp_full_match(
                        field[9],
                        '[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?'
                        || '(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])'
                    )
                    then epoch_us(try_cast(field[9] as timestamptz)) // 1000
                end
        end as timestamp_ms,
        type
    from extracted
)
select
    named.object,
    named.line,
    named.position,
    named.text,
    case
        when not objects.known then 'unknown_environment'
        when not named.is_json and not contains(named.text, '\u') then 'not_json'
    end as reason,  -- null: kept, or for events.parse to say
    objects.environment_key,
    objects.landed_us,
    named.event,
    named.feature_name,
    named.identifier,
    named.value,
    named.traits,
    named.metadata,
    named.event_id,
    named.timestamp_ms,
    coalesce(
        objects.known
        and named.is_object
        and type[1] = 'VARCHAR' and length(event) between 1 and $name_limit
        and (event = $exposure_event or not starts_with(event, $reserved_prefix))
        and (feature_name is null or (type[2] = 'VARCHAR' and length(feature_name) <= $name_limit))
        and type[3] = 'VARCHAR' and length(identifier) between 1 and $name_limit
        and (
            value is null
            or (type[4] in ('VARCHAR', 'UBIGINT', 'BIGINT', 'DOUBLE', 'BOOLEAN') and length(value) <= $value_limit)
        )
        and (traits is null or type[5] = 'OBJECT')
        and (metadata is null or type[6] = 'OBJECT')
        and (event_id is null or (type[7] = 'VARCHAR' and length(event_id) <= $name_limit))
        and (claimed_environment is null or (type[8] = 'VARCHAR' and claimed_environment = environment_key))
        and timestamp_ms between $oldest_ms and landed_us // 1000 + $future_tolerance_ms
        and (event <> $exposure_event or (length(feature_name) > 0 and length(value) > 0)),
        false
    ) as is_plain
from named
join objects using (object)
