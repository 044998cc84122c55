SELECT
  "t4"."variant",
  COUNT(*) AS "n",
  SUM(CAST(CAST((
    "t4"."first_ms" + 86400000
  ) <= 1772663400000 AS INT) AS BIGINT)) AS "mature_1",
  COUNT(*) AS "mature_2",
  COUNT(*) AS "mature_3"
FROM (
  SELECT
    *
  FROM (
    SELECT
      "t2"."identifier",
      MIN("t2"."at_ms") AS "first_ms",
      MIN("t2"."value") FILTER(WHERE
        "t2"."at_ms" = "t2"."earliest_ms") AS "variant",
      MIN("t2"."value") <> MAX("t2"."value") AS "quarantined"
    FROM (
      SELECT
        "t1"."environment_key",
        "t1"."event",
        "t1"."feature_name",
        "t1"."identifier",
        "t1"."value",
        "t1"."numeric_value",
        "t1"."timestamp",
        "t1"."at_ms",
        "t1"."event_id",
        "t1"."loaded_us",
        "t1"."lengths_hold",
        "t1"."traits",
        "t1"."metadata",
        "t1"."event_hash",
        MIN("t1"."at_ms") OVER (
          PARTITION BY "t1"."identifier"
          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        ) AS "earliest_ms"
      FROM (
        SELECT
          *
        FROM (
          /* The rows of the table of events as the expressions read them; texts compare by bytes (N9). */
          SELECT
            environment_key COLLATE "C" AS environment_key,
            event COLLATE "C" AS event,
            feature_name COLLATE "C" AS feature_name,
            identifier COLLATE "C" AS identifier,
            value COLLATE "C" AS value,
            CASE
              WHEN value ~ '^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$'
              THEN CASE
                WHEN PG_INPUT_IS_VALID(value, 'double precision')
                THEN CAST(value AS DOUBLE PRECISION)
                WHEN NOT PG_INPUT_IS_VALID(value, 'numeric')
                THEN CASE WHEN value ~ '[eE]-' THEN 0.0 END
                WHEN ABS(CAST(value AS DECIMAL)) < 1
                THEN 0.0
              END
            END AS numeric_value, /* E5: the pattern and the guard keep the cast from failing on 1e400 */
            timestamp,
            CAST(EXTRACT(EPOCH FROM timestamp) * 1000 AS BIGINT) AS at_ms,
            COALESCE(event_id, '') AS event_id,
            CAST(EXTRACT(EPOCH FROM loaded_at) * 1000000 AS BIGINT) AS loaded_us,
            LENGTH(identifier) BETWEEN 1 AND 2000
            AND LENGTH(COALESCE(value, '')) <= 65535
            AND LENGTH(COALESCE(feature_name, '')) <= 2000 AS lengths_hold,
            traits,
            metadata,
            (
              SELECT
                STRING_AGG(SUBSTRING(hash.text FROM 2 * byte - 1 FOR 2), ''
                ORDER BY
                  byte DESC) COLLATE "C"
              FROM GENERATE_SERIES(1, 16) AS bytes(byte)
              CROSS JOIN (
                SELECT
                  MD5(
                    CONCAT(
                      OCTET_LENGTH(environment_key),
                      ':',
                      environment_key,
                      OCTET_LENGTH(event),
                      ':',
                      event,
                      CASE
                        WHEN feature_name IS NULL
                        THEN '-'
                        ELSE CONCAT(OCTET_LENGTH(feature_name), ':', feature_name)
                      END,
                      OCTET_LENGTH(identifier),
                      ':',
                      identifier,
                      CAST(EXTRACT(EPOCH FROM timestamp) * 1000 AS BIGINT),
                      ':',
                      CASE WHEN value IS NULL THEN '-' ELSE CONCAT(OCTET_LENGTH(value), ':', value) END,
                      event_id
                    )
                  ) AS text
              ) AS hash
            ) AS event_hash /* E4: the MD5 of all parts, each with its length in bytes; the lake reads its bytes as a number from the last one on */
          FROM events
        ) AS t0
        WHERE
          "t0"."environment_key" = 'prod'
          AND "t0"."event" IN ('$flag_exposure')
          AND "t0"."timestamp" >= CAST('2026-03-01T22:30:00+00:00' AS TIMESTAMPTZ)
          AND "t0"."timestamp" < CAST('2026-03-04T22:30:00+00:00' AS TIMESTAMPTZ)
          AND "t0"."loaded_us" <= 1772000000000000
          AND "t0"."lengths_hold"
          AND "t0"."at_ms" >= 1577836800000
          AND (
            "t0"."at_ms" * 1000
          ) <= (
            "t0"."loaded_us" + 86400000000
          )
          AND (
            NOT (
              "t0"."event" = '$flag_exposure'
            )
            OR (
              (
                COALESCE("t0"."value", '') <> ''
              )
              AND (
                COALESCE("t0"."feature_name", '') <> ''
              )
            )
          )
          AND "t0"."feature_name" = 'checkout'
      ) AS "t1"
    ) AS "t2"
    GROUP BY
      1
  ) AS "t3"
  WHERE
    NOT (
      "t3"."quarantined"
    ) AND "t3"."variant" IN ('control', 'red')
) AS "t4"
GROUP BY
  1;
