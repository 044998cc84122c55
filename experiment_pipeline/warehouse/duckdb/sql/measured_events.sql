-- One kind of event of identities with hashes in a range; what is read of it is chosen around this.
select identity_hash, epoch_us(timestamp) as at_us, value, numeric_value, traits, metadata, batch
from read_parquet($event_files, hive_partitioning = false)
where event = $event
    and timestamp >= $started_at
    and timestamp < $as_of
    and batch <= $data_version
    and identity_hash between $lowest_hash and $highest_hash
