-- The limit on this engine: the same rows, grouped by identity, keeping one number.
select count(*), sum(epoch_ms(first_at))
from (
    select identity_hash, min(timestamp) as first_at
    from read_parquet($files)
    where event in ('$flag_exposure', 'signup', 'page_view', 'purchase', 'session')
        and timestamp >= $started_at
        and timestamp < $as_of
    group by identity_hash
)
