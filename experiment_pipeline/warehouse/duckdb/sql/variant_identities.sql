-- Analysed identities per variant seen: what SRM tests (S1); those that never entered among them where that is asked (M19).
select variant, count(*)::bigint as identities
from read_parquet($first_exposures, hive_partitioning = false)
where not (quarantined and $exclude_quarantined)
    and ($before_entry or entered_at_ms is not null)
group by variant
order by variant
