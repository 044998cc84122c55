-- Flags that were exposed in these files, the most frequent ones first. Without a condition on time: names are cheap to
-- group and times are not; `exposure_count` counts within the window those that matter.
select feature_name as name, count(*)::bigint as events
from read_parquet($event_files, hive_partitioning = false)
where event = $exposure_event and batch <= $data_version
group by feature_name
order by events desc, name
limit $limit
