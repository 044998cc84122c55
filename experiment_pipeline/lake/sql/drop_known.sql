-- Events that an earlier batch delivered. An event is always in the same partition: its timestamp is part of its hash.
delete from kept
using read_parquet($files, hive_partitioning = false) as known
where kept.event_hash_high = known.event_hash_high and kept.event_hash_low = known.event_hash_low
