-- Judged records that surely keep the contract -> staged: the numeric value (rule E5), the partition, and the stable hashes.
-- Links of identities (D6) have a partition of their own, so that who reads events of any month finds them all, or none.
-- A half of an MD5 less 2^63 is a BIGINT: Delta knows no unsigned ones.
insert into staged
with
measured as (
    select
        *,
        case
            when event = $link_event then $links
            else strftime(make_timestamp(timestamp_ms * 1000), '%Y-%m')
        end as month,
        case
            when regexp_full_match(value, $numeric_value)
            then try_cast(value as double)
        end as number,
        -- Every part carries its length, an absent one a dash: no two keys spell the same text (rule E4).
        md5_number(concat(
            strlen(environment_key), ':', environment_key,
            strlen(event), ':', event,
            coalesce(strlen(feature_name) || ':' || feature_name, '-'),
            strlen(identifier), ':', identifier,
            timestamp_ms, ':',
            coalesce(strlen(value) || ':' || value, '-'),
            coalesce(event_id, '')
        )) as event_hash,
        md5_number(identifier) >> 64 as identity_bits
    from judged
    where is_plain
)
select
    object,
    line,
    position,
    environment_key,
    month,
    event,
    feature_name,
    identifier,
    (identity_bits::hugeint - 9223372036854775808)::bigint as identity_hash,
    value,
    case when isfinite(number) then number end as numeric_value,
    timestamp_ms,
    traits,
    metadata,
    event_id,
    ((event_hash >> 64)::hugeint - 9223372036854775808)::bigint as event_hash_high,
    ((event_hash & 18446744073709551615)::hugeint - 9223372036854775808)::bigint as event_hash_low,
    landed_us
from measured
