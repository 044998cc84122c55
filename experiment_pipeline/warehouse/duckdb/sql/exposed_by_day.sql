-- Identities per UTC day of their first exposure, those of them that saw several variants, and the first time (rules X2, X3).
select
    make_timestamptz(first_exposed_at_ms // 86400000 * 86400000000)::date as day,
    count(*)::bigint as identities,
    count(*) filter (where quarantined)::bigint as quarantined,
    make_timestamptz(min(first_exposed_at_ms) * 1000) as first_at
from read_parquet($first_exposures, hive_partitioning = false)
group by day
order by day
