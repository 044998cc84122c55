-- Events of identities that take part in some of many experiments: twenty metric events of five kinds for each identity, and
-- three exposures for each of its experiments, spread over the days; the same for the same seed.
copy (
    with
    metric_event as (
        select
            n % $identities as identity,
            (hash(n, $seed) >> 1)::bigint as dice,
            (hash(n, $seed, 'time') >> 1)::bigint as clock,
            (hash(n, $seed, 'day') % $days)::bigint as day
        from range($identities * 20) as series(n)
    ),
    exposure as (
        select
            identity,
            flag,
            (hash(identity, flag, round, $seed, 'time') >> 1)::bigint as clock,
            (hash(identity, flag, round, $seed, 'day') % $days)::bigint as day
        from range($identities) as identities(identity), range($experiments) as flags(flag), range(3) as rounds(round)
        where hash(identity, flag, $seed) % 1000 < $share
    )
    select
        ['signup', 'page_view', 'purchase', 'session', 'scroll'][1 + dice % 5] as event,
        null::varchar as feature_name,
        md5(identity::varchar)::uuid::varchar as identifier,
        ((dice // 5) % 10000 / 100.0)::varchar as value,
        $first_ms + day * 86400000 + clock % 86400000 as timestamp_ms
    from metric_event
    union all
    select
        '$flag_exposure',
        'flag-' || flag,
        md5(identity::varchar)::uuid::varchar,
        ['control', 'red', 'blue'][1 + (hash(identity, flag, $seed, 'variant') % 3)::bigint],
        $first_ms + day * 86400000 + clock % 86400000
    from exposure
) to $target (format parquet, compression snappy)
