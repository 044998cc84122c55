-- How many rows each batch has removed.
select batch, count(*)
from read_parquet($files, hive_partitioning = false)
group by batch
