-- Events of one name in a window, whose properties' types are counted; exposures are those of one flag.
select traits, metadata
from read_parquet($event_files, hive_partitioning = false)
where event = $event
    and ($feature is null or feature_name = $feature)
    and timestamp >= $started_at
    and timestamp < $as_of
    and batch <= $data_version
