-- From lines of text to judged records: `is_plain` ones surely keep the contract and are rows already, those with a
-- reason surely break it, and the rest is for `events.parse` to say. Soundness is all that counts here: whatever might
-- be read in two ways is left to it (docs/adr/0012).
--
-- lines(object, line, text, is_envelope, may_hold_nan), objects(object, environment_key, known, landed_us, oldest_ms)
-- -> judged
create or replace temp table judged as
with
compacted as not materialized (
    select *, try(json(text))::varchar as compact  -- null where it is not JSON
    from lines
),
-- DuckDB's reader takes trailing commas and NaN; JSON does not. It rewrites numbers, and rule E4 compares a value by its
-- literal, as traits keep theirs: only spellings that survive are plain. An escaped ASCII letter could hide a name. What
-- DuckDB writes as it came, but for spaces, has none of these but NaN and what is escaped: a quick look at nearly all.
checked as not materialized (
    select
        *,
        compact is not null as is_json,
        case
            when compact is null then false
            when
                (compact = text or replace(compact, ' ', '') = replace(text, ' ', ''))
                and not may_hold_nan
                and not contains(text, '\u00')
            then true
            else not regexp_matches(
                text,
                ',\s*[}\]]|[:\[,]\s*-?(?i:nan|inf)|\\u00[0-7]'
                || '|[:\[,]\s*(?:-0|-?(?:0\.0000[0-9]*|[0-9.]+[eE][+-]?[0-9]+|[0-9]+\.[0-9]+0|'
                || $many_digits || '))\s*[,}\]]'
            )
        end as is_unambiguous
    from compacted
),
opened as (
    select
        *,
        case
            when is_json and is_unambiguous and json_type(text, 'event') is null
            then json_extract(text, '$.events[*]')::varchar[]
        end as records
    from checked
    where is_envelope
),
record as (
    select object, line, null::bigint as position, text, is_json, is_json and is_unambiguous as is_readable
    from checked
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
        -- The text is left out, and not the lists: a choice between lists copies them.
        json_type(case when is_readable then text end, $fields) as type,
        from_json(case when is_readable then text end, $structure) as field
    from record
),
named as (
    select
        object,
        line,
        position,
        text,
        is_json,
        type[1] = 'OBJECT' as is_object,
        field.event as event,
        field.feature_name as feature_name,
        field.identifier as identifier,
        json_extract_string(field.value, '$') as value,
        field.traits as traits,
        field.metadata as metadata,
        nullif(field.event_id, '') as event_id,
        field.environment_key as claimed_environment,
        -- The type of the record itself is one more than its known fields have.
        case
            when type[1] = 'OBJECT' and len(json_keys(text)) >= list_count(type)
            then list_distinct(list_filter(json_keys(text), lambda name: not list_contains($known_fields, name)))
        end as unknown_fields,
        case type[10]
            when 'UBIGINT' then try_cast(field.timestamp as bigint)
            when 'VARCHAR' then
                case
                    when regexp_full_match(
                        field.timestamp,
                        '[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?'
                        || '(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])'
                    )
                    then epoch_us(try_cast(field.timestamp as timestamptz)) // 1000
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
            -- Each level that is opened is closed, too. What no field is may be nested deeper than traits and metadata.
            and case
                when
                    unknown_fields is null
                    and coalesce(strlen(traits), 0) < 2 * $nesting_limit - 2
                    and coalesce(strlen(metadata), 0) < 2 * $nesting_limit - 2
                then true
                else strlen(text) - strlen(replace(replace(text, '[', ''), '{', '')) < $nesting_limit
            end
            -- Limits are of characters; whether a text of more bytes keeps to them is not said here.
            and type[2] = 'VARCHAR' and strlen(event) between 1 and $name_limit
            and (event = $exposure_event or event = $link_event or not starts_with(event, $reserved_prefix))
            and (feature_name is null or (type[3] = 'VARCHAR' and strlen(feature_name) <= $name_limit))
            and type[4] in ('VARCHAR', 'UBIGINT', 'BIGINT') and strlen(identifier) between 1 and $name_limit
            and (value is null or (type[5] <> 'OBJECT' and type[5] <> 'ARRAY' and strlen(value) <= $value_limit))
            and (traits is null or type[6] = 'OBJECT')
            and (metadata is null or type[7] = 'OBJECT')
            and (event_id is null or (type[8] = 'VARCHAR' and strlen(event_id) <= $name_limit))
            and (claimed_environment is null or (type[9] = 'VARCHAR' and claimed_environment = environment_key))
            and timestamp_ms between objects.oldest_ms and landed_us // 1000 + $future_tolerance_ms
            and (event <> $exposure_event or (strlen(feature_name) > 0 and strlen(value) > 0))
            and (event <> $link_event or strlen(value) between 1 and $name_limit),
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
