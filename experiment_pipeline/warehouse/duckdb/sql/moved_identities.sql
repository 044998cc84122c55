-- First exposures of identities with late events that are analysed now, from a time before the earlier look's as-of on; where
-- events may have left (E6, D6), from a later time, too: the earlier look may have analysed them all the same.
select exposures.*
from read_parquet($first_exposures, hive_partitioning = false) as exposures
semi join read_parquet($late, hive_partitioning = false) as late using (identity_hash)
where variant in (select unnest($variants))
    and not (quarantined and $exclude_quarantined)
    and entered_at_ms is not null
    and (entered_at_ms * 1000 < epoch_us($known_as_of) or $at_any_time)
