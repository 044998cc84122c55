-- One kind of event in the window, of identities with hashes in a range; NaN where the value is not a number (E5).
select identity_hash, epoch_us(timestamp) as at_us, coalesce(numeric_value, 'nan') as number
from read_parquet($event_files, hive_partitioning = false)
where event = $event
    and timestamp >= $started_at
    and timestamp < $as_of
    and batch <= $data_version
    and identity_hash between $lowest_hash and $highest_hash
