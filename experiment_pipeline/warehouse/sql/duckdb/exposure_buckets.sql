-- Identities per bucket of their first exposure and variant; `quarantined` only where the policy excludes (X2-X4).
select
    date_trunc($granularity, make_timestamptz(first_exposed_at_ms * 1000)) as bucket,
    variant,
    quarantined and $exclude_quarantined as quarantined,
    count(*)::bigint as new_identities
from read_parquet($first_exposures)
group by all
order by bucket, variant, quarantined
