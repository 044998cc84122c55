-- The identities that events of the moved ones were sent with: their own, and anonymous ones that were or are linked (D6).
select identity_hash from read_parquet($moved, hive_partitioning = false)
union
select anonymous_hash
from (from link_before union all from link_now)
where known_hash in (select identity_hash from read_parquet($moved, hive_partitioning = false))
