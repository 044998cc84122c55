-- One kind of event in the window, of identities with hashes in a range; NaN where the value is no number (E5).
select
    identity_hash,
    epoch_ms(timestamp) as at_ms,
    case when $with_values then coalesce(numeric_value, 'nan') else 0 end as number
from read_parquet($event_files)
where event = $event
    and timestamp >= $started_at
    and timestamp < $as_of
    and batch <= $data_version
    and identity_hash between $lowest_hash and $highest_hash
