-- Exposures of the flag and events of the metrics, by name, of identities with hashes up to a bound: how many happened since
-- a moment and landed late, and how many of exposed identities came from an hour (3600000 ms) before the first exposure on.
select
    event,
    count(*) filter (where timestamp >= $since)::bigint as events,
    count(*) filter (where timestamp >= $since and landed_at > timestamp + to_milliseconds($late_after_ms))::bigint as late,
    count(*) filter (where epoch_ms(timestamp) >= first_exposed_at_ms - 3600000)::bigint as near_exposure,
    count(*) filter (
        where epoch_ms(timestamp) >= first_exposed_at_ms - 3600000 and epoch_ms(timestamp) < first_exposed_at_ms
    )::bigint as before_exposure
from read_parquet($event_files, hive_partitioning = false) as events
left join read_parquet($first_exposures, hive_partitioning = false) as exposed using (identity_hash)
where (event in (select unnest($events)) or (event = $exposure_event and feature_name = $feature))
    and timestamp >= $started_at
    and timestamp < $as_of
    and batch <= $data_version
    and identity_hash <= $highest_hash
group by event
order by event
