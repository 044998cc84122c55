-- Exposures of one flag in one window, whatever experiment it belongs to.
select count(*)::bigint as exposures, count(distinct identity_hash)::bigint as identities, min(timestamp) as first_at
from read_parquet($event_files, hive_partitioning = false)
where event = $exposure_event
    and feature_name = $feature
    and timestamp >= $started_at
    and timestamp < $as_of
    and batch <= $data_version
