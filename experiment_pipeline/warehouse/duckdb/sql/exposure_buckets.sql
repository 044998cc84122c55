-- Identities per bucket of their first exposure and variant; `quarantined` only where the policy excludes (X2-X4).
select make_timestamptz(bucket_ms * 1000) as bucket, variant, quarantined, new_identities
from (
    select
        first_exposed_at_ms - first_exposed_at_ms % case $granularity when 'hour' then 3600000 else 86400000 end
            as bucket_ms,  -- UTC hours and days are all of one length
        variant,
        quarantined and $exclude_quarantined as quarantined,
        count(*)::bigint as new_identities
    from read_parquet($first_exposures, hive_partitioning = false)
    group by all
)
order by bucket, variant, quarantined
