-- The rows of some files of one partition as one sorted run; what partitions are named by is not in the files.
select *
from read_parquet($files, hive_partitioning = false)
order by event, feature_name, identity_hash, timestamp
