-- How many identities the artifact holds, how many of them saw several variants, and how many rows break the contract (X1, X2).
--
-- Rows are sorted by identity: each hash must be larger than the one before. `lag` over no order reads them as they are
-- stored, in one pass and without memory.
select
    count(*)::bigint as identities,
    count(*) filter (where quarantined)::bigint as quarantined,
    count(*) filter (where identity_hash <= earlier)::bigint as repeated,
    count(*) filter (
        where identity_hash is null or first_exposed_at_ms is null or variant is null or quarantined is null
    )::bigint as incomplete,
    count(*) filter (
        where first_exposed_at_ms < epoch_ms($started_at) or first_exposed_at_ms >= epoch_us($as_of) / 1000
    )::bigint as outside_window
from (
    select *, lag(identity_hash) over () as earlier
    from read_parquet($first_exposures, hive_partitioning = false)
)
