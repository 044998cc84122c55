-- Events that an earlier batch delivered. An event is always in the same partition: its timestamp is part of its hash.
delete from accepted_rows
using read_parquet($files, hive_partitioning = false) as known
where accepted_rows.event_hash_high = known.event_hash_high and accepted_rows.event_hash_low = known.event_hash_low
