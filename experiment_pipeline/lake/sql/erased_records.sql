-- The batch's records of erased identities that are dated or arrived before the erasure (rule E6): a link is one of either
-- end. A rejected record is known by the identifier that its text says; one whose time cannot be told, by its arrival.
-- HMAC is SHA-256 of the outer block and of the SHA-256 of the inner block and the text.
create or replace temp table erased_records as
with
rejected as (
    select rejected_rows.rowid as record, environment_key, landed_us, rejected_rows.record as text
    from (select *, rowid from rejected_rows where json_valid(record)) as rejected_rows
    join objects using (object)
    where environment_key in (select environment_key from erased)
),
ends as (
    select true as is_good, rowid as record, environment_key, identifier as identity, timestamp_ms, landed_us
    from staged
    where environment_key in (select environment_key from erased)
    union all
    select true, rowid, environment_key, value, timestamp_ms, landed_us
    from staged
    where event = $link_event and environment_key in (select environment_key from erased)
    union all
    select
        false,
        record,
        environment_key,
        json_extract_string(text, '$.identifier'),
        coalesce(
            try_cast(json_extract_string(text, '$.timestamp') as bigint),
            epoch_ms(try_cast(json_extract_string(text, '$.timestamp') as timestamptz))
        ),
        landed_us
    from rejected
),
digests as (
    select environment_key, identity, sha256($outer || unhex(sha256($inner || encode(identity)))) as digest
    from (select distinct environment_key, identity from ends where identity is not null)
)
select distinct is_good, record
from ends
join digests using (environment_key, identity)
join erased using (environment_key, digest)
where timestamp_ms * 1000 < before_us or landed_us < before_us
