-- All events that an analysis reads of some identities, up to an earlier look's as-of; what it reads of them is chosen around
-- this: a column that nobody reads costs as much as one that somebody does.
select *
from read_parquet($event_files, hive_partitioning = false)
semi join read_parquet($moved, hive_partitioning = false) as moved using (identity_hash)
where event in (select unnest($events))
    and timestamp < $known_as_of
    and batch <= $data_version
    and (event <> $exposure_event or feature_name = $feature)
order by event, identity_hash
