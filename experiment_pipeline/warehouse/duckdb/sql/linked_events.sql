-- Events under the identity that counts: of an anonymous one that is linked, the known one's (D6).
(
    select
        stored.* replace (
            coalesce(link.known_hash, stored.identity_hash) as identity_hash,
            coalesce(link.known, stored.identifier) as identifier
        )
    from read_parquet($event_files, hive_partitioning = false) as stored
    left join identity_link as link on link.anonymous_hash = stored.identity_hash
)
