-- Identities of these variants whose analysis starts at or after an earlier look's as-of; where events may have left, without
-- those that are looked at one by one.
select count(*)::bigint
from read_parquet($first_exposures, hive_partitioning = false)
where variant in (select unnest($variants))
    and not (quarantined and $exclude_quarantined)
    and entered_at_ms * 1000 >= epoch_us($known_as_of)
    and not ($at_any_time and identity_hash in (from read_parquet($late, hive_partitioning = false) select identity_hash))
