-- The removals that these files hold.
insert into removals
select event_hash_high, event_hash_low, batch
from read_parquet($files, hive_partitioning = false)
