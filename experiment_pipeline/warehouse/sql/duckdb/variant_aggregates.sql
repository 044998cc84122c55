-- Moments of every metric in every variant (M2-M5). Identities without events need no row in the join: n comes from
-- the first exposures, and their zeros are merged in at the end.
--
-- Events are grouped by small numbers instead of texts: `slot` for what has to be summed per identity, once for all
-- metrics that share it, and `arm` for the variant.
with metric as (
    select *, (dense_rank() over (order by event, window_ms))::usmallint as slot
    from (select unnest($metrics, recursive := true))  -- metric_id, event, aggregation, window_ms
),
measured as (
    select distinct slot, event, window_ms from metric
),
population as materialized (
    select variant, (row_number() over ())::uinteger as arm, count(*) as n
    from read_parquet($first_exposures)
    where not (quarantined and $exclude_quarantined)
    group by variant
),
analysed as (
    select identity_hash, population.arm, make_timestamptz(first_exposed_at_ms * 1000) as first_exposed_at
    from read_parquet($first_exposures)
    join population using (variant)
    where not (quarantined and $exclude_quarantined)
),
per_identity as materialized (
    select
        m.slot,
        a.arm,
        a.identity_hash,
        count(*) as events,
        count(e.numeric_value) as numeric_events,
        fsum(e.numeric_value) as total
    from read_parquet($event_files) as e
    join measured as m on m.event = e.event
    join analysed as a on a.identity_hash = e.identity_hash
    where e.timestamp >= $started_at
        and e.timestamp < $as_of
        and e.batch <= $data_version
        and e.timestamp >= a.first_exposed_at
        and (m.window_ms is null or epoch_ms(e.timestamp) < epoch_ms(a.first_exposed_at) + m.window_ms)
    group by m.slot, a.arm, a.identity_hash
),
valued as not materialized (
    select
        metric.metric_id,
        per_identity.arm,
        case metric.aggregation
            when 'occurrence' then 1.0
            when 'count' then per_identity.events::double
            when 'sum' then coalesce(per_identity.total, 0.0)
            when 'mean' then coalesce(per_identity.total / per_identity.numeric_events, 0.0)
        end as value,
        case when metric.aggregation in ('sum', 'mean') then per_identity.events - per_identity.numeric_events else 0 end
            as invalid_values
    from per_identity
    join metric using (slot)
),
centre as (
    select metric_id, arm, count(*) as k, fsum(value) / count(*) as mean, sum(invalid_values) as invalid_values
    from valued
    group by metric_id, arm
),
moments as (  -- second pass around the mean; the correction term takes out what rounding left in it
    select
        metric_id,
        arm,
        centre.k,
        centre.mean,
        centre.invalid_values,
        fsum((value - centre.mean) * (value - centre.mean))
            - fsum(value - centre.mean) * fsum(value - centre.mean) / centre.k as m2
    from valued
    join centre using (metric_id, arm)
    group by metric_id, arm, centre.k, centre.mean, centre.invalid_values
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
order by metric_id, variant
