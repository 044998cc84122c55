-- Events that came after a look and are dated before it, by identity: exposures of the flag, and events of the given names,
-- each from its own time on. Files and row groups without such a batch or time are left out by their statistics.
select identity_hash, count(*)::bigint as events
from read_parquet($event_files, hive_partitioning = false)
join (select unnest($events) as event, unnest($since) as since) using (event)
where batch > $known_data_version
    and batch <= $data_version
    and timestamp < $known_as_of
    and timestamp >= since
    and (event <> $exposure_event or feature_name = $feature)
group by identity_hash
