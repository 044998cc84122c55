select distinct environment_key
from read_parquet($files)
where batch = $batch and reason = 'unknown_environment'
