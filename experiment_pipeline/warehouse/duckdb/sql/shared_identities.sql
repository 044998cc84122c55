-- The identities of several experiments together, in rising order, each once.
select distinct identity_hash
from read_parquet($first_exposures, hive_partitioning = false)
order by identity_hash
