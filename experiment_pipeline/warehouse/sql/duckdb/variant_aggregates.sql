-- Moments in every variant (M2-M5) of the metrics that share one event and one conversion window.
--
-- Identities without events need no row in the join: their zeros are merged in at the end.
with metric as (
    select unnest($metrics, recursive := true)  -- metric_id, aggregation
),
per_identity as materialized (  -- what an identity did after its first exposure, once for all these metrics
    select arm, events, events - numeric_events as invalid_values, total, total / numeric_events as average
    from (
        select
            a.identity,
            any_value(a.arm) as arm,
            count(*) as events,
            count(case when $with_values then e.numeric_value end) as numeric_events,
            fsum(case when $with_values then e.numeric_value end) as total
        from read_parquet($event_files) as e
        join analysed as a on a.identity_hash = e.identity_hash
        where e.event = $event
            and e.timestamp >= $started_at
            and e.timestamp < $as_of
            and e.batch <= $data_version
            and e.timestamp >= a.first_exposed_at
            and ($window_ms is null or epoch_ms(e.timestamp) < epoch_ms(a.first_exposed_at) + $window_ms)
        group by a.identity
    )
),
sums as (  -- of the k identities with events; whole numbers add up exactly
    select
        arm,
        count(*) as k,
        sum(invalid_values) as invalid_values,
        sum(events) as events,
        sum(events * events) as events_squared,
        coalesce(fsum(total) / count(*), 0.0) as mean_total,
        coalesce(fsum(average) / count(*), 0.0) as mean_average
    from per_identity
    group by arm
),
residual as not materialized (
    select arm, coalesce(total, 0.0) - mean_total as total, coalesce(average, 0.0) - mean_average as average
    from per_identity
    join sums using (arm)
    where $with_values
),
deviations as (  -- second pass, around the means; the correction term takes out what rounding left in them
    select
        arm,
        fsum(total * total) - fsum(total) * fsum(total) / count(*) as total,
        fsum(average * average) - fsum(average) * fsum(average) / count(*) as average
    from residual
    group by arm
),
moments as (
    select
        metric_id,
        arm,
        k,
        case aggregation
            when 'occurrence' then 1.0
            when 'count' then events::double / k
            when 'sum' then mean_total
            when 'mean' then mean_average
        end as mean,
        case aggregation
            when 'occurrence' then 0.0
            when 'count' then (k * events_squared - events * events)::double / k
            when 'sum' then deviations.total
            when 'mean' then deviations.average
        end as m2,
        case when aggregation in ('sum', 'mean') then invalid_values else 0 end as invalid_values
    from metric
    cross join sums
    left join deviations using (arm)
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
    left join moments on moments.metric_id = metric.metric_id and moments.arm = population.arm
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
