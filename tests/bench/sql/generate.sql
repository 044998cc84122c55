-- The bench's events by day, the same for the same seed: per identity three exposures and twenty metric events of
-- five kinds in the whole, spread over the days. One identity in a hundred flickers between variants. Identifiers are
-- UUIDs, which is what anonymous visitors get.
copy (
    with
    draw as (
        select
            n,
            (hash(n, $seed) >> 1)::bigint as dice,
            (hash(n, $seed, 'time') >> 1)::bigint as clock,
            n // $identities as round,
            (hash(n, $seed, 'day') % $days)::bigint as day
        from range($identities * 23) as series(n)
    ),
    drawn as (
        select
            *,
            n % $identities as identity,
            round < 3 as is_exposure
        from draw
    )
    select
        case
            when is_exposure then '$flag_exposure'
            else ['signup', 'page_view', 'purchase', 'session', 'scroll'][1 + dice % 5]
        end as event,
        case when is_exposure then 'checkout' end as feature_name,
        md5(identity::varchar)::uuid::varchar as identifier,
        case
            when is_exposure then ['control', 'red', 'blue'][
                1 + (hash(identity, $seed) % 3 + case when hash(identity, 'flicker') % 100 = 0 then round else 0 end)::bigint % 3
            ]
            else ((dice // 5) % 10000 / 100.0)::varchar
        end as value,
        $first_ms + day * 86400000 + clock % 86400000 as timestamp_ms,
        day
    from drawn
) to $target (format parquet, compression snappy, partition_by (day))
