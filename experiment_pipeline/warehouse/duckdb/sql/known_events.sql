-- Events that an earlier refresh saw, of identities that are read again, from the first moment on at which one can count.
select event, feature_name, identifier, identity_hash, value, numeric_value, traits, metadata, timestamp,
    event_hash_high, event_hash_low, batch
from read_parquet($known_files, hive_partitioning = false)
semi join read_parquet($changed, hive_partitioning = false) as changed using (identity_hash)
where batch <= $known_data_version and timestamp < $known_as_of and timestamp >= $changed_since
