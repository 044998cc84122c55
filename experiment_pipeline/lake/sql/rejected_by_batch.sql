-- Environments that did not exist, and objects that could not be read, when a batch's rejected records were stored.
select distinct reason, case when reason = $unreadable_object then object else environment_key end as name
from read_parquet($files, hive_partitioning = false)
where batch = $batch and reason in ($unknown_environment, $unreadable_object)
