-- From lines of text to judged records: `is_plain` ones surely keep the contract and are rows already, those with a
-- reason surely break it, and the rest is for `events.parse` to say. Soundness is all that counts here: whatever might
-- be read in two ways is left to it (docs/adr/0012).
--
-- lines(object, line, text), objects(object, environment_key, known, landed_us, oldest_ms) -> judged
create or replace temp table judged as
with
line as (
    select
        object,
        line,
        text,
        json_valid(text) as is_json,
        -- DuckDB's reader takes trailing commas and NaN; JSON does not. It rewrites numbers, and rule E4 compares a
        -- value by its literal, as traits keep theirs: only spellings that survive are plain. An escaped ASCII letter
        -- could hide a name.
        not regexp_matches(
            text,
            ',\s*[}\]]|[:\[,]\s*-?(?:[nN]a[nN]|[iI]nf)|\\u00[0-7]'
            || '|[:\[,]\s*(?:-0|-?(?:0\.0000[0-9]*|[0-9.]+[eE][+-]?[0-9]+|[0-9]+\.[0-9]+0|'
            || $many_digits || '))\s*[,}\]]'
        ) as is_unambiguous,
        regexp_matches(text, '^\s*\{\s*"events"\s*:\s*\[') as is_envelope  -- one that begins otherwise is not plain
    from lines
),
opened as (
    select
        *,
        case
            when is_json and is_unambiguous and json_type(text, 'event') is null
            then json_extract(text, '$.events[*]')::varchar[]
        end as records
    from line
    where is_envelope
),
record as (
    select object, line, null::bigint as position, text, is_json, is_json and is_unambiguous as is_readable
    from line
    where not is_envelope
    union all
    select object, line, null, text, is_json, false
    from opened
    where records is null
    union all
    select object, line, unnest(range(1, len(records) + 1)), unnest(records), true, true
    from opened
    where records is not null
),
extracted as (
    select
        *,
        case when is_readable then json_type(text, $fields) end as type,
        case when is_readable then json_extract_string(text, $fields) end as field,
        strlen(text) - strlen(replace(replace(text, '[', ''), '{', '')) as depth_at_most
    from record
),
named as (
    select
        object,
        line,
        position,
        text,
        is_json,
        type[1] = 'OBJECT' and depth_at_most < $nesting_limit as is_object,
        field[2] as event,
        field[3] as feature_name,
        field[4] as identifier,
        field[5] as value,
        field[6] as traits,
        field[7] as metadata,
        nullif(field[8], '') as event_id,
        field[9] as claimed_environment,
        -- The type of the record itself is one more than its known fields have.
        case
            when type[1] = 'OBJECT' and len(json_keys(text)) >= list_count(type)
            then list_distinct(list_filter(json_keys(text), lambda name: not list_contains($known_fields, name)))
        end as unknown_fields,
        case type[10]
            when 'UBIGINT' then try_cast(field[10] as bigint)
            when 'VARCHAR' then
                case
                    when regexp_full_match(
                        field[10],
                        '[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?'
                        || '(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])'
                    )
                    then epoch_us(try_cast(field[10] as timestamptz)) // 1000
                end
        end as timestamp_ms,
        type
    from extracted
),
verdict as (
    select
        named.*,
        objects.environment_key,
        objects.landed_us,
        objects.known,
        coalesce(
            objects.known
            and is_object
            and type[2] = 'VARCHAR' and length(event) between 1 and $name_limit
            and (event = $exposure_event or event = $link_event or not starts_with(event, $reserved_prefix))
            and (feature_name is null or (type[3] = 'VARCHAR' and length(feature_name) <= $name_limit))
            and type[4] in ('VARCHAR', 'UBIGINT', 'BIGINT') and length(identifier) between 1 and $name_limit
            and (value is null or (type[5] <> 'OBJECT' and type[5] <> 'ARRAY' and length(value) <= $value_limit))
            and (traits is null or type[6] = 'OBJECT')
            and (metadata is null or type[7] = 'OBJECT')
            and (event_id is null or (type[8] = 'VARCHAR' and length(event_id) <= $name_limit))
            and (claimed_environment is null or (type[9] = 'VARCHAR' and claimed_environment = environment_key))
            and timestamp_ms between objects.oldest_ms and landed_us // 1000 + $future_tolerance_ms
            and (event <> $exposure_event or (length(feature_name) > 0 and length(value) > 0))
            and (event <> $link_event or length(value) between 1 and $name_limit),
            false
        ) as is_plain
    from named
    join objects using (object)
)
select
    object,
    line,
    position,
    case when not is_plain then text end as text,
    case
        when is_plain then null
        -- It may be an envelope, whose records are judged one by one; an escaped letter may hide its name.
        when position is null and (contains(text, '"events"') or contains(text, '\u')) then null
        when not known then 'unknown_environment'
        when not is_json then 'not_json'
    end as reason,
    is_plain,
    environment_key,
    event,
    feature_name,
    identifier,
    value,
    timestamp_ms,
    traits,
    metadata,
    event_id,
    landed_us,
    unknown_fields
from verdict
