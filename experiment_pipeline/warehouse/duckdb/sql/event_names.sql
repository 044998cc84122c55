-- Kinds of events in these files, those asked for and the most frequent ones first; exposures are not among them.
select event as name, count(*)::bigint as events
from read_parquet($event_files, hive_partitioning = false)
where event <> $exposure_event and batch <= $data_version
group by event
order by list_contains($wanted, name) desc, events desc, name
limit $limit
