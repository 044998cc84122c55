-- One row per identity first exposed in the window (rules X1-X3), of everybody but the excluded identifiers (M23).
--
-- The smallest (time, variant) is the first exposure: at equal times the smallest variant key (X2). Variants are numbered in
-- the order of their keys, so that time and variant fit in one number, whose minimum is cheap to compute: time in
-- microseconds times 2^32 (4294967296), plus the variant's number. `>> 32` gives the time back, the low 32 bits the variant.
with exposure as not materialized (
    select identity_hash, timestamp, value as variant
    from read_parquet($event_files, hive_partitioning = false)
    where event = $exposure_event
        and feature_name = $feature
        and timestamp >= $started_at
        and timestamp < $as_of
        and batch <= $data_version
        and ($exclude_identifiers is null or not list_contains($exclude_identifiers, identifier))
),
known as materialized (
    select variant, row_number() over (order by variant) as number
    from (select distinct variant from exposure)
),
identity as (
    select
        identity_hash,
        min(epoch_us(timestamp)::hugeint * 4294967296 + number) as first_exposure,
        min(number) <> max(number) as quarantined
    from exposure
    join known using (variant)
    group by identity_hash
)
select identity_hash, (first_exposure >> 32)::bigint // 1000 as first_exposed_at_ms, variant, quarantined
from identity
join known on known.number = (first_exposure & 4294967295)::bigint
