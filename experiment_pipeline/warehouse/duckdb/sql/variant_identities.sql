-- Analysed identities per variant seen: what SRM tests (S1).
select variant, count(*)::bigint as identities
from read_parquet($first_exposures, hive_partitioning = false)
where not (quarantined and $exclude_quarantined)
group by variant
order by variant
