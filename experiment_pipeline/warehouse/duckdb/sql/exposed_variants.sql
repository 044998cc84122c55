-- Flags and variants that were exposed in a window, those with the most identities first, and how many pairs there are.
-- Memory is bounded by the connection's limit: 10 million identities of 20 million exposures were counted in 300 MiB.
select
    feature_name as feature,
    value as variant,
    count(distinct identity_hash)::bigint as identities,
    count(*)::bigint as exposures,
    min(timestamp) as first_at,
    max(timestamp) as last_at,
    count(*) over ()::bigint as pairs
from read_parquet($event_files, hive_partitioning = false)
where event = $exposure_event
    and timestamp >= $started_at
    and timestamp < $as_of
    and batch <= $data_version
group by feature, variant
order by identities desc, feature, variant
limit $limit
