-- The peer's query, fixed: performance is compared with what it does, not with what it could do.
WITH exposures AS
(
    SELECT
        identifier,
        if(uniqExact(value) > 1, '', any(value)) AS variant,
        uniqExact(value) > 1 AS quarantined,
        min(timestamp) AS first_exposure
    FROM events
    WHERE environment_key = 'bench'
        AND event = '$flag_exposure'
        AND feature_name = 'checkout'
        AND timestamp >= {started_at:DateTime64(3, 'UTC')}
        AND timestamp < {as_of:DateTime64(3, 'UTC')}
    GROUP BY identifier
),
per_identity AS
(
    SELECT
        exposures.identifier AS identifier,
        any(exposures.variant) AS variant,
        any(exposures.quarantined) AS quarantined,
        countIf(events.event = 'signup' AND events.timestamp >= exposures.first_exposure) > 0 AS m1,
        countIf(events.event = 'page_view' AND events.timestamp >= exposures.first_exposure) AS m2,
        sumIf(toFloat64OrZero(events.value), events.event = 'purchase' AND events.timestamp >= exposures.first_exposure) AS m3,
        if(isNaN(avgIf(toFloat64OrZero(events.value), events.event = 'session' AND events.timestamp >= exposures.first_exposure) AS average), 0, average) AS m4
    FROM exposures
    LEFT JOIN events
        ON events.identifier = exposures.identifier
        AND events.environment_key = 'bench'
        AND events.event IN ('signup', 'page_view', 'purchase', 'session')
        AND events.timestamp >= {started_at:DateTime64(3, 'UTC')}
        AND events.timestamp < {as_of:DateTime64(3, 'UTC')}
    GROUP BY exposures.identifier
)
SELECT
    variant,
    count() AS n,
    sum(m1), sum(m1 * m1),
    sum(m2), sum(m2 * m2),
    sum(m3), sum(m3 * m3),
    sum(m4), sum(m4 * m4)
FROM per_identity
WHERE NOT quarantined
GROUP BY variant
ORDER BY variant
