-- The rejected records of a file that their environment still keeps (rule X8).
select *
from read_parquet($files, hive_partitioning = false)
where environment_key <> $environment_key or landed_at >= $before::timestamptz
