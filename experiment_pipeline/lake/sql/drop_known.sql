-- Events that an earlier batch delivered. The timestamp is part of an event's hash: it is always in the same partition, and
-- files of other times are not read.
delete from accepted_rows
using read_parquet($files, hive_partitioning = false) as known
where accepted_rows.event_hash_high = known.event_hash_high and accepted_rows.event_hash_low = known.event_hash_low
    and known.timestamp between to_timestamp($oldest_ms / 1000.0) and to_timestamp($newest_ms / 1000.0)
