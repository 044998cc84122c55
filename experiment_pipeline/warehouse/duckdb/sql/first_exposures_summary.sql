-- How many identities the artifact holds, and how many of them saw several variants.
select count(*)::bigint as identities, count(*) filter (where quarantined)::bigint as quarantined
from read_parquet($first_exposures, hive_partitioning = false)
