-- What is kept of a file's rows where an identity goes: all that `erasable_events` does not count, in their order (rule E6).
-- A removal knows the identity by its hash alone; the rows that it hides go with it, in the same commit.
select *
from read_parquet($files, hive_partitioning = false)
where not (
    (
        (identifier = $identifier or (event = $link_event and coalesce(value, '') = $identifier))
        and (timestamp < $before::timestamptz or landed_at < $before::timestamptz)
    )
    or (
        event = $removal_event
        and identity_hash = ((md5_number($identifier) >> 64)::hugeint - 9223372036854775808)::bigint
        and landed_at < $before::timestamptz
    )
)
order by event, feature_name, identity_hash, timestamp
