-- Analysed identities with hashes in a range, each with its arm: the place of its variant in the given list, from 0.
select identity_hash, first_exposed_at_ms * 1000 as first_exposed_at_us, list_position($variants, variant) - 1 as arm
from read_parquet($first_exposures)
where not (quarantined and $exclude_quarantined) and identity_hash between $lowest_hash and $highest_hash
