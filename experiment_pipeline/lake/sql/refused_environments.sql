select distinct environment_key
from read_parquet($files, hive_partitioning = false)
where batch = $batch and reason = 'unknown_environment'
