-- Analysed identities, numbered: grouping by small numbers without gaps needs no hash table. They are numbered in the
-- order that events lie in, so that neighbours in a file are neighbours in memory.
create or replace temp table analysed as
select
    (row_number() over (order by identity_hash))::uinteger as identity,
    identity_hash,
    arm,
    make_timestamptz(first_exposed_at_ms * 1000) as first_exposed_at
from read_parquet($first_exposures)
join population using (variant)
where not (quarantined and $exclude_quarantined)
