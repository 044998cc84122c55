-- The rows of some files of one partition as one sorted run; what partitions are named by is not in the files. Files that
-- were written before there were sources lack their columns.
select *
from read_parquet($files, hive_partitioning = false, union_by_name = true)
order by event, feature_name, identity_hash, timestamp
