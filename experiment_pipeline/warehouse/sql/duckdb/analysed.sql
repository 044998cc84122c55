-- Analysed identities, numbered: grouping by small numbers without gaps needs no hash table.
create temp table analysed as
select
    (row_number() over ())::uinteger as identity,
    identity_hash,
    arm,
    make_timestamptz(first_exposed_at_ms * 1000) as first_exposed_at
from read_parquet($first_exposures)
join population using (variant)
where not (quarantined and $exclude_quarantined)
