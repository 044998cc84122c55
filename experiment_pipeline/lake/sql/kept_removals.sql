-- The removals of later batches than a limit: they still hide rows.
select *
from read_parquet($removals, hive_partitioning = false, union_by_name = true)
where batch > $limit
order by event, feature_name, identity_hash, timestamp
