-- Events that an identity can enter by: at or after its first exposure (M19). `first_exposure` is a table of what
-- `first_exposures` selects.
select identity_hash, timestamp, events.value, numeric_value, traits, metadata
from read_parquet($event_files, hive_partitioning = false) as events
join first_exposure using (identity_hash)
where event = $entry_event
    and epoch_us(timestamp) >= first_exposed_at_ms * 1000
    and timestamp < $as_of
    and batch <= $data_version
