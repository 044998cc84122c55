-- The records that were rejected last, newest first (rule E3).
select landed_at, environment_key, object, line, position, reason, record
from read_parquet($files, hive_partitioning = false)
order by landed_at desc, object desc, line desc, position desc
limit $limit
