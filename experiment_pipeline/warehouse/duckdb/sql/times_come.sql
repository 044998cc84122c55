-- Events of the batches that an earlier refresh saw, whose times lay ahead of it; row groups without any are left out by
-- their statistics.
select event, feature_name, identifier, identity_hash, value, numeric_value, traits, metadata, timestamp,
    event_hash_high, event_hash_low, batch
from read_parquet($known_files, hive_partitioning = false)
where batch <= $known_data_version and timestamp >= $known_as_of
