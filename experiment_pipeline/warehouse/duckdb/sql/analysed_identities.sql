-- Analysed identities with hashes in a range; arm: the place of the variant in the given list, from 0.
select identity_hash, first_exposed_at_ms * 1000 as first_exposed_at_us, arm
from read_parquet($first_exposures, hive_partitioning = false)
join (select unnest($variants) as variant, generate_subscripts($variants, 1) - 1 as arm) using (variant)
where not (quarantined and $exclude_quarantined) and identity_hash between $lowest_hash and $highest_hash
