-- Analysed identities with hashes in a range, and where their analysis starts (M19); arm: the place of the variant in the
-- given list, from 0.
select
    * exclude (variant),
    entered_at_ms * 1000 as starts_at_us,
    first_exposed_at_ms * 1000 as first_exposed_at_us,
    arm
from read_parquet($first_exposures, hive_partitioning = false)
join (select unnest($variants) as variant, generate_subscripts($variants, 1) - 1 as arm) using (variant)
where not (quarantined and $exclude_quarantined)
    and entered_at_ms is not null
    and identity_hash between $lowest_hash and $highest_hash
