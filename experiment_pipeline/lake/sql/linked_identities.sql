-- The other ends of an identity's links (rule D6).
select distinct case when identifier = $identifier then value else identifier end as other
from read_parquet($files, hive_partitioning = false)
where event = $link_event and (identifier = $identifier or value = $identifier)
    and value <> identifier
order by other
