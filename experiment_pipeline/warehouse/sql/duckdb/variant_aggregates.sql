-- Moments of every metric in every variant (M2-M5). Identities without events need no row in the join: n comes from
-- the first exposures, and their zeros are merged in at the end.
with metric as (
    select unnest($metrics, recursive := true)  -- metric_id, event, aggregation, window_ms
),
analysed as (
    select identity_hash, variant, first_exposed_at_ms
    from read_parquet($first_exposures)
    where not (quarantined and $exclude_quarantined)
),
measured as (  -- what has to be summed per identity, once for all metrics that share it
    select distinct event, window_ms from metric
),
per_identity as materialized (
    select
        e.event,
        m.window_ms,
        a.variant,
        a.identity_hash,
        count(*) as events,
        count(e.numeric_value) as numeric_events,
        fsum(e.numeric_value) as total
    from read_parquet($event_files) as e
    join measured as m on m.event = e.event
    join analysed as a on a.identity_hash = e.identity_hash
    where e.event in (select event from metric)
        and e.timestamp >= $started_at
        and e.timestamp < $as_of
        and e.batch <= $data_version
        and epoch_ms(e.timestamp) >= a.first_exposed_at_ms
        and (m.window_ms is null or epoch_ms(e.timestamp) < a.first_exposed_at_ms + m.window_ms)
    group by all
),
valued as materialized (
    select
        metric.metric_id,
        per_identity.variant,
        case metric.aggregation
            when 'occurrence' then 1.0
            when 'count' then per_identity.events::double
            when 'sum' then coalesce(per_identity.total, 0.0)
            when 'mean' then coalesce(per_identity.total / per_identity.numeric_events, 0.0)
        end as value,
        case when metric.aggregation in ('sum', 'mean') then per_identity.events - per_identity.numeric_events else 0 end
            as invalid_values
    from per_identity
    join metric
        on metric.event = per_identity.event and metric.window_ms is not distinct from per_identity.window_ms
),
centre as (
    select metric_id, variant, count(*) as k, fsum(value) / count(*) as mean, sum(invalid_values) as invalid_values
    from valued
    group by metric_id, variant
),
moments as (  -- second pass around the mean; the correction term takes out what rounding left in it
    select
        metric_id,
        variant,
        centre.k,
        centre.mean,
        centre.invalid_values,
        fsum((value - centre.mean) * (value - centre.mean))
            - fsum(value - centre.mean) * fsum(value - centre.mean) / centre.k as m2
    from valued
    join centre using (metric_id, variant)
    group by metric_id, variant, centre.k, centre.mean, centre.invalid_values
),
population as (
    select variant, count(*) as n from analysed group by variant
),
merged as (
    select
        metric.metric_id,
        population.variant,
        population.n,
        -- k identities with events merged with n - k zeros (pairwise update of Chan, Golub and LeVeque).
        coalesce(moments.mean * moments.k / population.n, 0.0) as mean,
        coalesce(
            greatest(moments.m2, 0.0)
                + moments.mean * moments.mean * moments.k * ((population.n - moments.k) / population.n),
            0.0
        ) as m2,
        coalesce(moments.invalid_values, 0) as invalid_values
    from metric
    cross join population
    left join moments on moments.metric_id = metric.metric_id and moments.variant = population.variant
)
select
    metric_id::bigint as metric_id,
    variant,
    n::bigint as n,
    -- Both are null where either is too large for a double.
    case when isfinite(mean) and isfinite(m2) then mean end as mean,
    case when isfinite(mean) and isfinite(m2) then m2 end as m2,
    invalid_values::bigint as invalid_values
from merged
order by metric_id, variant
