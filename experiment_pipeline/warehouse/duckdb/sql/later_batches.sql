-- Events of batches that landed after an earlier refresh; files without any are left out by their names.
select event, feature_name, identifier, identity_hash, value, numeric_value, traits, metadata, timestamp,
    event_hash_high, event_hash_low, batch
from read_parquet($new_files, hive_partitioning = false)
where batch > $known_data_version
